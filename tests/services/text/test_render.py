"""Lists as text: a page says when there is more, and a tree is drawn however long the line."""

from services.records.generations import ListedGeneration
from services.text import render


def listed(number: int, *, tree: bool = False) -> ListedGeneration:
    return ListedGeneration(
        id=f"g{number:06d}",
        number=number,
        parent=f"g{number - 1:06d}" if number else None,
        status="retired",
        created_at="2027-01-01T00:00:00",
        objective=None,
        recipe=None,
        evaluator=1,
        scores={"math": 0.25, "language": 0.75},
        verdict=None,
        artifact=None,
        tree=tree,
    )


def shown(rows: list[ListedGeneration]) -> list[str]:
    return render.SHOWN["generations"](rows).splitlines()


def test_a_page_says_how_to_see_what_is_older() -> None:
    rows = [listed(number) for number in (7, 8)]
    assert shown(rows)[-1] == "There are older ones: metaevo generations --before g000007"


def test_the_page_with_the_base_is_the_last() -> None:
    lines = shown([listed(0), listed(1)])
    assert len(lines) == 3
    assert lines[1].split() == ["g000000", "retired", "–", "–", "–", "0.500"]


def test_a_line_of_ten_thousand_generations_is_drawn_as_a_tree() -> None:
    lines = shown([listed(number, tree=True) for number in range(10_000)])
    assert lines[:2] == ["g000000  retired", "   └─ g000001  retired"]
    assert lines[-1] == f"{'   ' * 9999}└─ g009999  retired"


def test_a_tree_of_a_page_begins_where_the_page_begins() -> None:
    lines = shown([listed(number, tree=True) for number in (5, 6)])
    assert lines[0] == "g000005  retired"
    assert lines[-1] == "There are older ones: metaevo generations --before g000005"
