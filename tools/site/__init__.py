"""`krait docs`: the pages as a site, with pictures and the sources that they name."""
