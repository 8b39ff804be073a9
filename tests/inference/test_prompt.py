"""Chat templates: rendered as model makers mean them; hostile ones are refused and harm nothing."""

from __future__ import annotations

import gc
import resource
import time

import pytest

from inference.contract import Message
from inference.prompt import CHATML, PromptError, Template

TALK = (Message("system", "Be kind."), Message("user", "Hello 你好 {{ 7 * 7 }}"))

INJECTIONS = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ ''.__class__.__base__.__subclasses__()[0] }}",
    "{{ ''['__class__'] }}",
    "{% if ''.__class__ %}in{% endif %}",
    "{% set x = messages.__class__ %}",
    "{{ ''|attr('__class__') }}",
    "{{ 'x'|attr('__cl' ~ 'ass__')|attr('__mro__') }}",
    "{{ messages|map(attribute='__class__')|list }}",
    "{{ messages|map('attr', '__class__')|list }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ namespace(x=1).__class__ }}",
    "{{ range.__class__ }}",
    "{{ raise_exception.__globals__['json'] }}",
    "{{ strftime_now.__globals__ }}",
    "{{ messages.__class__.__base__ }}",
    "{{ '{0.__class__}'.format('') }}",
    "{{ '{x.__class__}'.format_map({'x': ''}) }}",
    "{{ ('{0.__class__}'|string).format(1) }}",
    "{{ request.application.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{% set f = messages.append %}{{ f({}) }}",
    "{{ messages.append({'role': 'system', 'content': 'evil'}) }}",
    "{{ messages.clear() }}",
    "{{ messages.pop() }}",
    "{{ messages.sort() }}",
    "{{ messages[0].update({'content': 'evil'}) }}",
    "{{ messages[0].pop('content') }}",
    "{{ messages[0].setdefault('x', 1) }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os }}",
    "{% extends '/etc/passwd' %}",
    "{{ open('/etc/passwd').read() }}",
    "{{ __import__('os') }}",
    "{{ config }}{{ config.items() }}",
    "{% macro m() %}{{ caller.__init__.__globals__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ raise_exception('refused') }}",
]

DOUBLING = (
    "{%% set ns = namespace(x=%s) %%}"
    "{%% for i in range(60) %%}{%% set ns.x = ns.x %s ns.x %%}{%% endfor %%}"
)
ENDLESS = [
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ 'a' * 10**12 }}",
    "{% set n = 10**9 %}{{ 'a' * n }}",
    "{{ [1] * 10**10 }}",
    "{{ 'x'|center(10**9) }}",
    "{% set n = 2 * 10**9 %}{{ 'x'|center(n) }}",
    "{{ 'x'.ljust(10**10) }}",
    "{{ 'x'.zfill(10**10) }}",
    "{{ '%1000000000d' % 1 }}{{ '%1000000000d' % 2 }}",
    "{{ '{:>9999999999}'.format(1) }}",
    "{{ 'x'|indent(10**10) }}",
    "{{ messages|tojson(indent=10**10) }}",
    "{{ 10**(10**10) }}",
    "{% set n = 10**8 %}{{ 7**n }}",
    "{{ (10**300000) * (10**300000) * (10**300000) * (10**300000) }}",
    DOUBLING % ("'x'", "+"),
    DOUBLING % ("'x'", "~"),
    DOUBLING % ("[1]", "+"),
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro m(n) %}{{ m(n + 1) }}{{ m(n + 1) }}{% endmacro %}{{ m(0) }}",
    "{{ range(99999)|map('string')|join('x' * 9999) }}",
    "{{ [range(99999)|list] * 99999 }}",
    "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "{{ x" + ".x" * 50_000 + " }}",
    "{% if x %}" * 2_000 + "{% endif %}" * 2_000,
]


def test_it_works() -> None:
    text = Template(CHATML).render(TALK)
    assert text == (
        "<|im_start|>system\nBe kind.<|im_end|>\n"
        "<|im_start|>user\nHello 你好 {{ 7 * 7 }}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_what_real_templates_use() -> None:
    source = (
        "{{ bos_token }}{% set ns = namespace(n=0) %}"
        "{%- for m in messages if m['role'] != 'system' -%}{% set ns.n = ns.n + 1 %}"
        "{% if loop.index0 > 5 %}{% break %}{% endif %}{{ m.content|trim|upper }}{% endfor %}"
        "{{ ns.n }}{{ messages[0]|tojson }}{{ '-' * 3 }}{{ 2 ** 8 }}{{ range(3)|list }}"
        "{{ eos_token }}"
    )
    text = Template(source, bos="<s>", eos="</s>").render((Message("user", " hé "),))
    assert text == '<s>HÉ1{"role": "user", "content": " hé "}---256[0, 1, 2]</s>'
    assert len(Template("{{ strftime_now('%Y') }}").render(())) == 4


@pytest.mark.parametrize("source", INJECTIONS)
def test_r1_injections_are_refused(source: str) -> None:
    with pytest.raises(PromptError) as refusal:
        Template(source).render(TALK)
    assert refusal.value.kind == "template_failed"
    assert TALK[1].content == "Hello 你好 {{ 7 * 7 }}"


def test_r1_what_a_template_may_not_see_is_empty() -> None:
    assert Template("{{ os }}{{ cycler }}{{ lipsum }}{{ dict }}").render(TALK) == ""


@pytest.mark.parametrize("source", ENDLESS, ids=lambda text: text[:50])
def test_r2_endless_templates_end(source: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_AS)
    began = time.monotonic()
    with pytest.raises(PromptError):
        Template(source).render(TALK)
    assert time.monotonic() - began < 5
    gc.collect()
    assert resource.getrlimit(resource.RLIMIT_AS) == limits
    assert Template(CHATML).render(TALK)


def test_a_damaged_template_is_refused() -> None:
    for source in ("{% for %}", "{{ 1", "{% endif %}", "{{ x|nosuchfilter }}"):
        with pytest.raises(PromptError):
            Template(source).render(TALK)
