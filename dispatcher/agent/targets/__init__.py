"""What may be asked: the target that a URL names, and the owner's rules for it. Steps 6 and 7 of a request's way."""
