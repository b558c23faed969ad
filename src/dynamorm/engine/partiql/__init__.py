"""PartiQL: statements are parsed once, their parameters are put in for each request, and the same reads and writes come out."""
