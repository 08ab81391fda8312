"""Fills in a form of an HTML page (stdin) as a browser without JavaScript would.

form.py ACTION NAME=VALUE...   prints the body to send: hidden fields of the form that posts to ACTION, then the given.
"""

import html.parser
import sys
import urllib.parse


class Forms(html.parser.HTMLParser):
    """Collects the hidden fields of each form by its action."""

    def __init__(self):
        super().__init__()
        self.hidden = {}
        self.action = None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "form":
            self.action = attrs.get("action")
            self.hidden.setdefault(self.action, [])
        elif tag == "input" and self.action is not None and attrs.get("type") == "hidden":
            self.hidden[self.action].append((attrs["name"], attrs.get("value") or ""))

    def handle_endtag(self, tag):
        if tag == "form":
            self.action = None


forms = Forms()
forms.feed(sys.stdin.read())
action, *given = sys.argv[1:]
if action not in forms.hidden:
    sys.exit(f"the page has no form for {action}, only for {sorted(map(str, forms.hidden))}")
print(urllib.parse.urlencode(forms.hidden[action] + [tuple(field.split("=", 1)) for field in given]))
