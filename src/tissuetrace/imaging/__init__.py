"""Files into arrays, arrays into measurements."""
