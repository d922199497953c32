"""Several corpora, each in a study of its own, and one page that compares methods on them."""
