"""What requests look like: a frozen table, made of the service's model, and what reads and checks them by it."""
