"""How the networks that come with the package were trained, and how they are put into it."""
