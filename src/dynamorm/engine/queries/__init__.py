"""Query and Scan: which range of a map is read, and page by page what of it is answered."""
