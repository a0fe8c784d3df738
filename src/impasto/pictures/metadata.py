"""Recipes inside picture files: a JSON text in an XMP packet, where other programs keep it."""

from __future__ import annotations

import os
import re
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from impasto.pictures.decode import header
from impasto.pictures.read import opened

NAMESPACE = "https://impasto.dev/ns/1/"

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:impasto="{namespace}">
<impasto:recipe>{recipe}</impasto:recipe>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def packet(recipe: str) -> bytes:
    """An XMP packet that holds ``recipe``, a JSON text.

    Characters that XML cannot hold become JSON escapes; everything else is kept as it is.
    """
    safe = _NOT_XML.sub(lambda found: f"\\u{ord(found[0]):04x}", recipe)
    escaped = escape(safe, {"\r": "&#13;"})
    return _PACKET.format(namespace=NAMESPACE, recipe=escaped).encode("utf-8")


def read_recipe(path: str | os.PathLike[str]) -> str | None:
    """The recipe in a picture file that Impasto wrote, as JSON text; None if it holds none.

    Raises:
        InputError: a file that is missing, unreadable, damaged or no picture.
    """
    with opened(path) as (file, kind):
        if kind not in ("JPEG", "PNG", "WebP", "AVIF", "TIFF"):
            return None
        image = header(file, kind, os.fspath(path))
        if "xmp-data" not in image.get_fields():
            return None
        xmp = bytes(image.get("xmp-data"))
    if b"<!DOCTYPE" in xmp:  # no XMP packet has one; its entities could fill the memory
        return None
    try:
        found = ElementTree.fromstring(xmp.strip(b"\0 \r\n\t")).iter(f"{{{NAMESPACE}}}recipe")
    except (ElementTree.ParseError, ValueError):
        return None
    return next((element.text for element in found), None)
