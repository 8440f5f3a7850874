"""All healthy cases of the ward: none of them may be called wrong."""

from tests.ward import healthy_layouts, healthy_others, healthy_outputs, healthy_peepholes

CASES = [*healthy_layouts.CASES, *healthy_peepholes.CASES, *healthy_outputs.CASES, *healthy_others.CASES]
