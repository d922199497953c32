"""The conformance kit: checks that a modality or a dataset keeps its contract.

In a test of a modality or a dataset, here or in another package::

    @pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
    def test_it_keeps_the_contract(check, examples):
        check(ModalityCase(modality, examples))

    @pytest.mark.parametrize("check", DATASET_CHECKS, ids=name_of)
    def test_it_keeps_the_contract(check, root):
        check(DatasetCase(dataset, root))

`check_modality` and `check_dataset` run them all. A check that fails says what is broken and
what to do. Damaged input is made by hypothesis (``pip install 'consilience[dev]'``).
"""

from consilience.testing.dataset import DATASET_CHECKS, DatasetCase, check_dataset
from consilience.testing.modality import MODALITY_CHECKS, ModalityCase, check_modality
from consilience.testing.rules import ContractError, name_of

__all__ = [
    "DATASET_CHECKS",
    "MODALITY_CHECKS",
    "ContractError",
    "DatasetCase",
    "ModalityCase",
    "check_dataset",
    "check_modality",
    "name_of",
]
