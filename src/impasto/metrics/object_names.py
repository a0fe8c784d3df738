"""Things that pictures show, as words: by them a leak of the style's things is found."""

from __future__ import annotations

OBJECTS = tuple(
    """
    man, woman, child, baby, crowd, face, portrait, eye, hand, skull, angel, knight, soldier,
    king, dancer, musician, fisherman, farmer, rider, nude figure,
    dog, cat, horse, cow, sheep, goat, pig, deer, lion, tiger, bear, elephant, monkey, rabbit,
    bird, eagle, owl, swan, duck, chicken, parrot, peacock, fish, whale, shark, octopus, crab,
    shell, butterfly, bee, snake, lizard, frog, dragon, dinosaur,
    tree, palm tree, forest, leaf, flower, rose, sunflower, tulip, water lily, grass, mushroom,
    cactus, fruit, apple, lemon, grape, pumpkin, bread, cake, cheese, wine glass, bottle, cup,
    plate, bowl, knife, candle, lamp, vase, table, chair, bed, sofa, bookshelf, book, letter,
    clock, mirror, window, door, staircase, carpet, curtain, piano, guitar, violin, drum,
    trumpet, telephone, computer, camera, television, robot, umbrella, hat, shoe, dress, mask,
    crown, jewel, coin, key, sword, gun, flag, wheel, balloon, toy, doll, ball, kite,
    house, cottage, hut, castle, palace, church, cathedral, temple, mosque, tower, lighthouse,
    windmill, bridge, skyscraper, factory, ruin, column, arch, statue, fountain, wall, fence,
    gate, street, road, railway, market, village, city skyline, harbour, canal, garden, park,
    field, vineyard, haystack, farm, barn, tent, cemetery, stadium,
    boat, sailing ship, steamship, rowing boat, submarine, car, bus, truck, bicycle, motorcycle,
    train, carriage, aeroplane, rocket, anchor, sail,
    mountain, hill, volcano, cliff, rock, cave, desert, beach, island, sea, wave, river, lake,
    waterfall, pond, swamp, glacier, snow, rain, cloud, storm, lightning, rainbow, fire, smoke,
    sun, moon, star, planet, night sky, sunset, fog
    """.replace("\n", " ").split(",")
)
OBJECTS = tuple(" ".join(word.split()) for word in OBJECTS)
"""Things that a photograph or painting may show; none is a style, a color or a mood."""
