"""Words for style: what CLIP chooses from, and what counts as style in a language model's answer.

No word names a depicted thing, a maker or a single work.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WordGroup:
    """Words of which a picture has one, or none.

    Attributes:
        prompt_templates: sentences in which CLIP sees a word; ``{}`` stands for it.
        blank_prompt: what the sentence says if no word fits.
        words: to choose from.
    """

    prompt_templates: tuple[str, ...]
    blank_prompt: str
    words: tuple[str, ...]


def _make_group(templates: str, blank: str, words: str) -> WordGroup:
    listed = " ".join(words.split()).split(", ")
    return WordGroup(tuple(templates.split(" | ")), blank, tuple(listed))


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


WORD_GROUPS: dict[str, WordGroup] = {
    "medium": _make_group(
        "a picture made as {} | an artwork in the medium of {}",
        "a picture",
        """
        oil on canvas, watercolor, gouache, acrylic, egg tempera, fresco, encaustic, casein,
        soft pastel, oil pastel, colored pencil, wax crayon, graphite, charcoal drawing,
        red chalk, white chalk on dark paper, silverpoint, pen and ink, ink wash, brush and ink,
        marker drawing, ballpoint drawing, airbrush, spray paint, scratchboard, woodcut,
        color woodblock print, linocut, wood engraving, copper engraving, etching, aquatint,
        mezzotint, drypoint, lithograph, screen print, risograph print, letterpress, monotype,
        cyanotype, daguerreotype, silver gelatin print, polaroid, photocollage, paper collage,
        cut paper, mixed media, mosaic, stained glass, enamel, tapestry, embroidery, batik,
        patchwork, gold leaf, ceramic glaze, bas-relief, marquetry, sand painting,
        digital painting, vector graphics, pixel art, 3d render, low-poly render, generative art,
        glitch art, photograph
        """,
    ),
    "movement": _make_group(
        "an artwork of {} | a picture in the manner of {}",
        "a picture of no school",
        """
        ancient Egyptian art, Greek vase decoration, Roman wall decoration, Byzantine art,
        Romanesque art, Gothic art, illuminated manuscript, early Renaissance, High Renaissance,
        Mannerism, Baroque, Dutch Golden Age, Rococo, Neoclassicism, Romanticism, Realizm,
        academic art, Pre-Raphaelite art, tonalism, Impressionism, Neo-Impressionism,
        Post-Impressionism, Symbolism, Art Nouveau, Arts and Crafts, Fauvism, Expressionism,
        Cubism, Orphism, Futurism, Vorticism, Rayonism, Suprematism, Constructivism, De Stijl,
        Bauhaus, Dada, Surrealism, metaphysical art, Precisionism, Art Deco, New Objectivity,
        social realism, magic realism, naive art, art brut, Abstract Expressionism,
        color field abstraction, lyrical abstraction, geometric abstraction, Minimalism, Op Art,
        Pop Art, kinetic art, photorealism, Neo-Expressionism, street art, graffiti,
        psychedelic art, concept art, comic book art, manga, anime, ukiyo-e, sumi-e,
        Chinese literati art, Persian miniature, Mughal miniature, Indian folk art,
        Aboriginal dot art, Celtic interlace, folk art, Mexican muralism, Soviet poster art,
        mid-century modern illustration, vaporwave
        """,
    ),
    "technique": _make_group(
        "a picture made with {} | {}",
        "a picture",
        """
        impasto, swirling brushstrokes, short broken brushstrokes, long flowing brushstrokes,
        loose gestural brushwork, fine invisible brushwork, palette knife work, dry brush, glazing,
        scumbling, wet-in-wet washes, bleeding washes, pointillism, divided dabs of color,
        cross-hatching, parallel hatching, stippling, contour line, bold black outlines,
        continuous line, dripped and splattered paint, poured paint, flat areas of color,
        hard-edged shapes, faceted planes, interlocking geometric shapes, organic curved shapes,
        concentric rings, tessellated pieces, halftone dots, dithering, soft blending, sfumato,
        chiaroscuro, tenebrism, sgraffito, rubbing, stencilling, layered transparent shapes,
        repeated ornament, arabesque ornament, grid of straight lines, calligraphic line,
        long exposure blur, double exposure, pixelation
        """,
    ),
    "palette": _make_group(
        "a picture in {} | {}",
        "a picture in color",
        """
        black and white, sepia tones, monochrome blue, monochrome red, pastel colors,
        earth colors, jewel colors, primary colors, neon colors, muted colors,
        vivid saturated colors, warm colors, cool colors, orange and blue contrast,
        red and green contrast, purple and yellow contrast, iridescent colors, metallic gold,
        grisaille, faded vintage colors, acid colors, dark colors with bright accents,
        washed-out pale colors, rainbow colors
        """,
    ),
    "light": _make_group(
        "a picture with {} | {}",
        "a picture with light",
        """
        dramatic light and shadow, soft diffuse light, dappled light, golden light, cold light,
        glowing light, backlight, candlelit gloom, hazy atmosphere, bright even light,
        dim low-key light, high-key light, flat light without shadows, flickering light,
        moonlit gloom, harsh glare
        """,
    ),
    "texture": _make_group(
        "a picture with {} | a surface with {}",
        "a surface",
        """
        thick ridged paint, rough texture, smooth polished surface, grainy texture,
        canvas weave, paper grain, cracked surface, chalky surface, velvety surface,
        glossy surface, matte surface, scratchy texture, fuzzy texture, translucent layers,
        weathered patina, film grain, crisp clean surface, mottled texture, woven texture,
        pitted stony texture
        """,
    ),
    "mood": _make_group(
        "a picture with a {} mood | a {} picture",
        "a picture",
        """
        calm, serene, dreamy, melancholy, gloomy, ominous, anguished, turbulent, dramatic, heroic,
        solemn, mysterious, nostalgic, romantic, joyful, playful, whimsical, festive, energetic,
        chaotic, dynamic, austere, stern, cold, tender, intimate, ecstatic, eerie, ironic,
        contemplative
        """,
    ),
}
"""Kind → its words, in the order in which a phrase has them."""

STYLE_WORDS = frozenset(word for group in WORD_GROUPS.values() for word in group.words)

ART_TERMS = frozenset(
    """
    high key, low key, high-key, low-key, gold leaf, silver leaf, comic book, comic-book,
    color field, body color, wall painting, hand-drawn, hand-painted, hand-colored, hand-made,
    hand-tinted, stained glass, plate tone
    """.replace("\n", " ").split(",")
)
"""Terms of art that have a thing in their name."""

BASIC_COLORS = _word_set(
    """
    black white gray gray blue green yellow orange red pink purple violet brown gold turquoise
    """
)
"""Words that make a color of a thing before them, as in "leaf green"."""

EXTRA_OBJECTS = _word_set(
    """
    animal animals wolf people person figure figures girl boy lady gentleman saint madonna christ
    god goddess nude self-portrait landscape seascape cityscape townscape skyline still-life
    building buildings architecture interior room scenery nature sky water ocean coast shore
    foliage leaves branch branches cypress cypresses bush bushes plant plants blossom blossoms
    petal petals floral wave waves ripple ripples reflection reflections ship ships sailboat
    vessel scream screaming head body arm arms hair dog dogs duck ducks night-time lamp lamps
    fence railing path trees stars starry moonlight sunlight sunlit town village harbor
    clothing clothes costume robe food drink instrument weapon tool furniture vehicle
    """
)
"""Things beside those of :mod:`impasto.metrics.object_names`."""

ARTIST_NAMES = _word_set(
    """
    afremov basquiat bosch botticelli boucher braque bruegel canaletto caravaggio cassatt cezanne
    cézanne chagall constable corot courbet cranach dali dalí daumier david degas delacroix
    delaunay derain doesburg duchamp dufy durer dürer eyck fragonard friedrich gainsborough
    gauguin gaugin giotto gogh goya greco grosz guillaumin hals haring hiroshige hockney hodler
    hokusai holbein hopper hundertwasser ingres kahlo kandinsky kirchner klee klimt kollwitz kooning
    lautrec leger léger leonardo lichtenstein liebermann macke magritte malevich manet mantegna
    marc matisse michelangelo millais millet miro miró modigliani mondrian monet morisot mucha
    munch murillo nolde okeeffe picabia picasso pissarro pollock poussin raphael rembrandt renoir
    repin rivera rodin rothko rousseau rubens ruisdael sargent schiele seurat signac sisley
    soutine tiepolo tintoretto titian toulouse turner utamaro utrillo vallotton velazquez velázquez
    vermeer veronese vinci vlaminck vuillard warhol watteau whistler wyeth zorn
    """
)
"""Painters' names. They are no style words here: see docs/describe.md."""
