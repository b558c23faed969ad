"""What is done with keys and with what lies under them: rotation, storing anew, retiring, destroying. Behind ``db.keys``."""
