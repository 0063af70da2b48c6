"""How the shipped networks are trained and put into the package."""
