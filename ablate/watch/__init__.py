"""A page that follows a running study of a store, for the browsers of this machine."""
