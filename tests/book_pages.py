"""What HTML the pages of the book are made of."""

from html.parser import HTMLParser


class Tags(HTMLParser):
    """The opening tags of a page, in order, as (name, attributes)."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
