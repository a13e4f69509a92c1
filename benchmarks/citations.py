"""BibTeX of the methods and data that a result rests on."""

from collections.abc import Iterable

from pushforward import __version__

__all__ = ["CITATIONS", "bibtex"]

_ENTRIES = {
    "pushforward": f"""@software{{pushforward,
  title = {{pushforward: scientific machine learning of transport}},
  author = {{{{The pushforward developers}}}},
  version = {{{__version__}}},
  year = {{2026}}
}}""",
    "uscidda2023": """@inproceedings{uscidda2023,
  title = {The {Monge} Gap: A Regularizer to Learn All Transport Maps},
  author = {Uscidda, Th{\\'e}o and Cuturi, Marco},
  booktitle = {International Conference on Machine Learning},
  year = {2023}
}""",
    "feydy2019": """@inproceedings{feydy2019,
  title = {Interpolating between Optimal Transport and {MMD} using {Sinkhorn} Divergences},
  author = {Feydy, Jean and S{\\'e}journ{\\'e}, Thibault and Vialard, Fran{\\c{c}}ois-Xavier and
            Amari, Shun-ichi and Trouv{\\'e}, Alain and Peyr{\\'e}, Gabriel},
  booktitle = {International Conference on Artificial Intelligence and Statistics},
  year = {2019}
}""",
    "cuturi2013": """@inproceedings{cuturi2013,
  title = {Sinkhorn Distances: Lightspeed Computation of Optimal Transport},
  author = {Cuturi, Marco},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2013}
}""",
    "flamary2021": """@article{flamary2021,
  title = {{POT}: {Python} Optimal Transport},
  author = {Flamary, R{\\'e}mi and Courty, Nicolas and Gramfort, Alexandre and others},
  journal = {Journal of Machine Learning Research},
  volume = {22},
  number = {78},
  pages = {1--8},
  year = {2021}
}""",
    "gretton2012": """@article{gretton2012,
  title = {A Kernel Two-Sample Test},
  author = {Gretton, Arthur and Borgwardt, Karsten M. and Rasch, Malte J. and
            Sch{\\"o}lkopf, Bernhard and Smola, Alexander},
  journal = {Journal of Machine Learning Research},
  volume = {13},
  pages = {723--773},
  year = {2012}
}""",
    "szekely2013": """@article{szekely2013,
  title = {Energy statistics: A class of statistics based on distances},
  author = {Sz{\\'e}kely, G{\\'a}bor J. and Rizzo, Maria L.},
  journal = {Journal of Statistical Planning and Inference},
  volume = {143},
  number = {8},
  pages = {1249--1272},
  year = {2013}
}""",
    "zhao2021": """@article{zhao2021,
  title = {Deconvolution of cell type-specific drug responses in human tumor tissue with
           single-cell {RNA-seq}},
  author = {Zhao, W. and others},
  journal = {Genome Medicine},
  volume = {13},
  pages = {82},
  year = {2021},
  doi = {10.1186/s13073-021-00894-y}
}""",
    "ahlmann2025": """@article{ahlmann2025,
  title = {Analysis of multi-condition single-cell data with latent embedding multivariate
           regression},
  author = {Ahlmann-Eltze, Constantin and Huber, Wolfgang},
  journal = {Nature Genetics},
  volume = {57},
  year = {2025},
  doi = {10.1038/s41588-024-01996-0}
}""",
    "kochkov2021": """@article{kochkov2021,
  title = {Machine learning-accelerated computational fluid dynamics},
  author = {Kochkov, Dmitrii and Smith, Jamie A. and Alieva, Ayya and Wang, Qing and
            Brenner, Michael P. and Hoyer, Stephan},
  journal = {Proceedings of the National Academy of Sciences},
  volume = {118},
  year = {2021}
}""",
    "sun2023": """@inproceedings{sun2023,
  title = {A Neural {PDE} Solver with Temporal Stencil Modeling},
  author = {Sun, Zhiqing and Yang, Yiming and Yoo, Shinjae},
  booktitle = {International Conference on Machine Learning},
  year = {2023}
}""",
    "gu2020": """@inproceedings{gu2020,
  title = {{HiPPO}: Recurrent Memory with Optimal Polynomial Projections},
  author = {Gu, Albert and Dao, Tri and Ermon, Stefano and Rudra, Atri and R{\\'e}, Christopher},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2020}
}""",
    "benson2025": """@article{benson2025,
  title = {Atmospheric Transport Modeling of {CO2} with Neural Networks},
  author = {Benson, Vitus and Bastos, Ana and Reimers, Christian and Winkler, Alexander J. and
            Yang, Fanny and Reichstein, Markus},
  journal = {Journal of Advances in Modeling Earth Systems},
  volume = {17},
  number = {2},
  year = {2025}
}""",
    "lam2023": """@article{lam2023,
  title = {Learning skillful medium-range global weather forecasting},
  author = {Lam, Remi and Sanchez-Gonzalez, Alvaro and Willson, Matthew and others},
  journal = {Science},
  year = {2023}
}""",
    "bonev2023": """@inproceedings{bonev2023,
  title = {Spherical {Fourier} Neural Operators: Learning Stable Dynamics on the Sphere},
  author = {Bonev, Boris and Kurth, Thorsten and Hundt, Christian and others},
  booktitle = {International Conference on Machine Learning},
  year = {2023}
}""",
    "liu2022": """@inproceedings{liu2022,
  title = {{Swin} Transformer {V2}: Scaling Up Capacity and Resolution},
  author = {Liu, Ze and Hu, Han and Lin, Yutong and others},
  booktitle = {Conference on Computer Vision and Pattern Recognition},
  year = {2022}
}""",
    "li2023": """@inproceedings{li2023,
  title = {Scalable Transformer for {PDE} Surrogate Modeling},
  author = {Li, Zijie and Shu, Dule and Barati Farimani, Amir},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2023}
}""",
    "li2021": """@inproceedings{li2021,
  title = {{Fourier} Neural Operator for Parametric Partial Differential Equations},
  author = {Li, Zongyi and Kovachki, Nikola and Azizzadenesheli, Kamyar and Liu, Burigede and
            Bhattacharya, Kaushik and Stuart, Andrew and Anandkumar, Anima},
  booktitle = {International Conference on Learning Representations},
  year = {2021}
}""",
    "yang2026": """@article{yang2026,
  title = {Implicit factorized transformer approach to fast prediction of turbulent channel flows},
  author = {Yang, Huiyu and Wang, Yunpeng and Wang, Jianchun},
  journal = {Science China Physics, Mechanics \\& Astronomy},
  volume = {69},
  number = {1},
  pages = {214606},
  year = {2026}
}""",
    "you2022": """@article{you2022,
  title = {Learning Deep Implicit {Fourier} Neural Operators ({IFNOs}) with Applications to
           Heterogeneous Material Modeling},
  author = {You, Huaiqian and Zhang, Quinn and Ross, Colton J. and Lee, Chung-Hao and Yu, Yue},
  journal = {Computer Methods in Applied Mechanics and Engineering},
  volume = {398},
  year = {2022}
}""",
    "ronneberger2015": """@inproceedings{ronneberger2015,
  title = {{U-Net}: Convolutional Networks for Biomedical Image Segmentation},
  author = {Ronneberger, Olaf and Fischer, Philipp and Brox, Thomas},
  booktitle = {Medical Image Computing and Computer-Assisted Intervention},
  year = {2015}
}""",
}

CITATIONS: dict[str, tuple[str, ...]] = {
    "pushforward": ("pushforward",),
    "monge_map": ("pushforward", "uscidda2023", "feydy2019"),
    "learned_correction": ("pushforward", "kochkov2021"),
    "learned_interpolation": ("pushforward", "kochkov2021"),
    "temporal_stencil": ("pushforward", "sun2023", "gu2020", "kochkov2021"),
    "mass_fixer": ("pushforward", "benson2025"),
    "carbonbench": ("benson2025",),
    "unet": ("pushforward", "benson2025", "ronneberger2015"),
    "swin": ("pushforward", "benson2025", "liu2022"),
    "sfno": ("pushforward", "benson2025", "bonev2023"),
    "graphcast": ("pushforward", "benson2025", "lam2023"),
    "ifactformer": ("pushforward", "yang2026", "li2023"),
    "fno": ("pushforward", "li2021"),
    "ifno": ("pushforward", "you2022", "li2021"),
    "monge_gap": ("uscidda2023",),
    "sinkhorn_divergence": ("feydy2019", "cuturi2013"),
    "wasserstein": ("flamary2021",),
    "mmd": ("gretton2012",),
    "energy_distance": ("szekely2013",),
    "glioblastoma": ("zhao2021", "ahlmann2025"),
}
"""What was used -> keys of what to cite."""


def bibtex(names: Iterable[str]) -> str:
    """BibTeX of everything behind some names, each entry once.

    Examples
    --------
    >>> from pushforward.benchmarks.citations import bibtex
    >>> bibtex(["monge_gap"]).splitlines()[0]
    '@inproceedings{uscidda2023,'
    """
    keys = dict.fromkeys(key for name in names for key in CITATIONS[name])
    return "\n\n".join(_ENTRIES[key] for key in keys)
