"""The ways in which ggml packs numbers, by the numbers that files give them. It packs nothing."""

from __future__ import annotations

# ggml's types: number, name, numbers in a block, bytes of a block.
TABLE = """
0 F32 1 4, 1 F16 1 2, 2 Q4_0 32 18, 3 Q4_1 32 20, 6 Q5_0 32 22, 7 Q5_1 32 24, 8 Q8_0 32 34,
9 Q8_1 32 36, 10 Q2_K 256 84, 11 Q3_K 256 110, 12 Q4_K 256 144, 13 Q5_K 256 176, 14 Q6_K 256 210,
15 Q8_K 256 292, 16 IQ2_XXS 256 66, 17 IQ2_XS 256 74, 18 IQ3_XXS 256 98, 19 IQ1_S 256 50,
20 IQ4_NL 32 18, 21 IQ3_S 256 110, 22 IQ2_S 256 82, 23 IQ4_XS 256 136, 24 I8 1 1, 25 I16 1 2,
26 I32 1 4, 27 I64 1 8, 28 F64 1 8, 29 IQ1_M 256 56, 30 BF16 1 2, 34 TQ1_0 256 54, 35 TQ2_0 256 66,
39 MXFP4 32 17
"""
# Mixtures that the types of the tensors do not tell apart, by general.file_type.
MIXED = """
11 Q3_K_S, 12 Q3_K_M, 13 Q3_K_L, 14 Q4_K_S, 15 Q4_K_M, 16 Q5_K_S, 17 Q5_K_M, 21 Q2_K_S, 22 IQ3_XS,
27 IQ3_M, 29 IQ2_M
"""
ROWS = [row.split() for row in TABLE.split(",")]
TYPES = {int(kind): (name, int(block), int(width)) for kind, name, block, width in ROWS}
MIXTURES = {int(kind): name for kind, name in (row.split() for row in MIXED.split(","))}
# Those of which llama.cpp's fast kernels make a copy in another order.
PACKED = frozenset({"Q4_0", "Q4_K", "IQ4_NL", "Q2_K"})
