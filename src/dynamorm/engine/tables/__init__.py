"""Tables: what is known of them, their indexes, and the operations of the control plane."""
