"""Reading figures back: strict XML, and how many cells of a kind are drawn."""

import re
import xml.etree.ElementTree as ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def parsed(text):
    """The document; raises where it is not XML."""
    root = ElementTree.fromstring(text)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title") is not None
    assert root.find(f"{SVG}desc") is not None
    return root


def drawn_cells(text, roles):
    """The cells of these roles, in all frames that the document has."""
    paths = [path for path in parsed(text).iter(f"{SVG}path") if path.get("class") in roles]
    return sum(len(re.findall("M", path.get("d"))) for path in paths)
