"""A text in plain English that belongs to no data set: what a model still knows of language is measured on it."""

PROSE = (
    "The mill stood where the river turned, and for two hundred years its wheel had moved with the water. When the "
    "last miller died, nobody in the village wanted the work, so the building was locked and the wheel stopped. "
    "Grass grew between the stones of the yard. In spring the river rose and left a line of mud along the wall, a "
    "little higher each time, and in summer children swam in the pool below the dam and told each other that "
    "something large lived at the bottom.",
    "Then a woman came from the city with a van full of tools. She had bought the place without looking at the "
    "roof, which was a mistake, and without asking about the winter, which was another. She worked alone at first. "
    "By October she had replaced forty beams, and people who had laughed at her began to stop on the bridge in the "
    "evening to see how far she had got. An old carpenter told her that the floor would not hold. She asked him to "
    "show her why, and after that he came every morning at eight and brought his own coffee.",
    "What she wanted was not flour but light. A small turbine, she explained, makes enough electricity for thirty "
    "houses if the water falls far enough, and here it fell almost four metres. The council met three times to talk "
    "about it. Some were afraid for the fish, some for the view, and one man was against it because he was against "
    "most things. In the end they agreed on a ladder of shallow pools beside the dam, so that trout could swim "
    "past, and on a rule that the machine must stand still during the month in which they lay their eggs.",
    "It took another year. Pipes arrived that were too short, a flood carried away the scaffolding, and the bank "
    "wrote letters. On the day when the turbine was to start, half the village was standing in the yard. She turned "
    "the valve, the ground shook slightly, and for a moment nothing else happened. Then a lamp above the door grew "
    "yellow and slowly white. Somebody clapped. The carpenter, who had never believed in it, said that the bearings "
    "should be greased before the frost, and went home to have his dinner.",
    "Today the mill sells what it does not need. Schools visit it in May, and the guide always asks the same "
    "question: where does the energy come from? Most children say from the river, and some say from the wheel. Only "
    "now and then one of them thinks longer and answers that it comes from the sun, which lifted the water into the "
    "clouds, and that the river is only bringing it back.",
)
"""Its paragraphs, about 460 words."""
