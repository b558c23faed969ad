"""What a program's own tests use beside a test database: a clock that stands still, faults, makers of objects, a recorder."""
