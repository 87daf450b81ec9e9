"""HTTP: routes and the page that links them."""
