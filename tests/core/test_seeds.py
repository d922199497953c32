import hashlib

from hypothesis import given
from hypothesis import strategies as st

from consilience.core.seeds import generator, seed_from


def test_a_seed_is_the_top_63_bits_of_the_hash_of_the_names():
    digest = hashlib.sha256(b"fold\x1f3").digest()
    assert seed_from("fold", 3) == int.from_bytes(digest[:8], "big") >> 1


@given(st.lists(st.text(), min_size=1))
def test_seeds_are_in_range_and_reproducible(names):
    assert 0 <= seed_from(*names) < 2**63
    assert seed_from(*names) == seed_from(*names)


def test_generators_depend_on_the_names_and_their_order():
    draws = [generator(*names).random() for names in (("a", "b"), ("b", "a"), ("ab",), ("a", "b"))]
    assert len(set(draws)) == 3
    assert draws[0] == draws[3]
