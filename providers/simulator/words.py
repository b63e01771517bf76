"""The words that simulated answers are made of."""

from typing import Final

__all__ = ["WORDS"]

_VOCABULARY = (
    "a about after all also always an and any as at back because before both but by can come day "
    "does each even every find first for from give go good great had has have here how if in into "
    "is it just know last left like line little long look made make many may more most move much "
    "must name never new no not now number of off on one only open or order other our out over "
    "own part people place point quite rather read same say see set she should side small so some "
    "soon still such take than that the their them then there these they thing think this those "
    "through time to together too turn two under until up us use very want was water way we well "
    "were what when where which while who why will with without word work world would year yet "
    "you your"
)
WORDS: Final = tuple(_VOCABULARY.split())
