"""One file a data set, or a family of them; `fathom.data.registry` lists them."""
