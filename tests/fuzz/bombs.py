"""Files made to exhaust or to fool whoever reads them: the known bombs of YAML, of Jinja, and of JSON Schema."""

from __future__ import annotations

_HEAD = "workflow: bomb\nversion: '1'\n"
_STEPS = "steps:\n  - {id: a, worker: fraud.score, kind: readonly}\n"


def _laughs(levels: int, width: int) -> str:
    lines = ["x0: &x0 [lol, lol]"]
    lines += [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


def _expression(source: str) -> str:
    quoted = source.replace("'", "''")
    return f"{_HEAD}steps:\n  - {{set: {{x: '{{{{ {quoted} }}}}'}}}}\n  - {{when: '{{{{ {quoted} }}}}', set: {{}}}}\n"


def _schema(text: str) -> str:
    return f"{_HEAD}input: {text}\n{_STEPS}"


_EXPRESSIONS = (
    "'a' * 10 ** 9",
    "9 ** 9 ** 9",
    "range(10 ** 9) | list",
    "''.__class__.__mro__[1].__subclasses__()",
    "input.__init__.__globals__",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "lipsum(n=100000)",
    "[[[[[[" * 40 + "]]]]]]" * 40,
    "(" * 400 + "1" + ")" * 400,
    "not " * 300 + "true",
    "- " * 300 + "1",
    "1" + " + 1" * 300,
    "input" + ".a" * 500,
    "input" + "[0]" * 300,
    "x" + " | default(x" * 60 + ")" * 60,
    "'" + "a" * 900 + "' ~ '" * 3 + "'",
    "{'a': " * 60 + "1" + "}" * 60,
    "a if b else " * 80 + "c",
    "'%s' % ('a' * 100)",
    "x | tojson | tojson | tojson | map(attribute='a.b.c') | list | sort(attribute='x') | join('-')",
    "9" * 1000,
    "1e308 * 1e308",
    "'\\ud800'",
    "input.a if",
    "}} {{ }} {% for x in range(10**9) %}{{ x }}{% endfor %}",
)
_SCHEMAS = (
    "{type: string, pattern: '^(a+)+$'}",
    "{type: string, pattern: '(?=.*a{1000}){1000}(x{1,1000}){1,1000}'}",
    "{type: string, pattern: '" + "(a?){30}" * 30 + "'}",
    "{$ref: '#'}",
    "{$ref: '#/$defs/a', $defs: {a: {$ref: '#/$defs/b'}, b: {$ref: '#/$defs/a'}}}",
    "{$ref: 'file:///etc/passwd'}",
    "{$ref: '../../../../../../etc/passwd'}",
    "{$ref: 'http://169.254.169.254/latest'}",
    "{$ref: '" + "../" * 2000 + "x'}",
    "{allOf: [" * 30 + "{}" + "]}" * 30,
    "{type: object, minProperties: 1e400}",
    "{type: array, items: {type: [" + ", ".join(["string"] * 900) + "]}}",
    "{enum: [" + ", ".join(map(str, range(4000))) + "]}",
    "{const: " + "[" * 50 + "]" * 50 + "}",
    "{properties: {'" + "x" * 5000 + "': {}}}",
    "{$dynamicRef: '#x', $dynamicAnchor: x}",
    "{unevaluatedProperties: {$ref: '#'}}",
    "{anyOf: [{$ref: '#'}, {$ref: '#'}, {oneOf: [{$ref: '#'}, {type: string}]}]}",
    "{anyOf: [" + ", ".join(["{$ref: '#'}"] * 900) + "]}",
)
_TWICE = "{anyOf: [" + ", ".join(f"{{properties: {{a: {{$ref: '#'}}, b{n}: {{}}}}}}" for n in range(9)) + "]}"


def _reading(schema: str) -> str:
    """A definition that reads deep into what its schema describes."""
    path = "input" + ".a" * 200
    return f"{_HEAD}input: {schema}\nsteps:\n  - {{set: {{x: '{{{{ {path} }}}}', y: '{{{{ {path} + input.b }}}}'}}}}\n"


BOMBS: tuple[bytes, ...] = tuple(
    text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    for text in (
        f"{_HEAD}{_laughs(30, 9)}\n{_STEPS}",
        f"{_HEAD}{_laughs(4, 200)}\n{_STEPS}",
        f"{_HEAD}x-a: &a [*a]\n{_STEPS}",
        f"{_HEAD}x-a: &a {{b: *a}}\n{_STEPS}",
        f"{_HEAD}x-a: {'[' * 5_000}{']' * 5_000}\n{_STEPS}",
        f"{_HEAD}x-a: {'[' * 100_000}",
        f"{_HEAD}x-a: {'{a: ' * 20_000}",
        "- " * 60_000,
        "? " * 40_000,
        "&a " * 20_000,
        "\n".join(" " * n + "a:" for n in range(600)),
        f"{_HEAD}x-a: {', '.join(['1'] * 90_000)}\n{_STEPS}",
        f"{_HEAD}x-a: [{', '.join(['1'] * 60_000)}]\n{_STEPS}",
        f"{_HEAD}{''.join(f'x-{n}: {n}' + chr(10) for n in range(9_000))}{_STEPS}",
        f"{_HEAD}x-a: {'9' * 100_000}\n{_STEPS}",
        f"{_HEAD}x-a: 0x{'f' * 100_000}\n{_STEPS}",
        f"{_HEAD}x-a: '{'a' * 250_000}'\n{_STEPS}",
        f"{_HEAD}{'k' * 100_000}: 1\n{_STEPS}",
        f"{_HEAD}x-a: !!python/object/apply:os.system ['id']\n{_STEPS}",
        f"{_HEAD}x-a: !!binary AAAA\nx-b: {{<<: {{a: 1}}}}\n{_STEPS}",
        f"%YAML 9.9\n%TAG ! tag:x,2000:\n---\n{_HEAD}{_STEPS}",
        f"{_HEAD}x-a: |{'9' * 50}\n  a\n{_STEPS}",
        f"{_HEAD}x-a: \"\\ud83d\\udc00\\x00\\u2028\"\n{_STEPS}",
        f"\ufeff{_HEAD}{_STEPS}",
        f"{_HEAD}{_STEPS}".encode("utf-16"),
        f"{_HEAD}{_STEPS}".encode("utf-32"),
        b"\x00" * 1000,
        b"\xff\xfe\xfd" * 100,
        b"",
        b"a" * 300_000,
        b"---\n" * 20_000,
        b"'" * 20_000,
        b"%" * 20_000,
        f"{_HEAD}steps:\n{'  - {set: {}}' + chr(10)}" * 30,
        f"{_HEAD}steps:\n" + "  - {set: {}}\n" * 9_000,
        f"{_HEAD}steps: " + "[{steps: " * 60 + "[]" + "}]" * 60,
        f"{_HEAD}steps: " + "[{id: a, parallel: {branches: {a: " * 25 + "[{set: {}}]" + "}}}]" * 25,
        f"{_HEAD}schedule: {{cron: '{'*/1,' * 3000}* * * * *'}}\n{_STEPS}",
        f"{_HEAD}schedule: {{cron: '0 0 31 2 *', timezone: '../../../etc/passwd'}}\n{_STEPS}",
        f"{_HEAD}timeout: {'9' * 5000}d\n{_STEPS}",
        f"{_HEAD}steps:\n  - {{id: a, repeat: {{max: 1000, until: '{{{{ false }}}}', steps: "
        "[{repeat: {max: 1000, until: '{{ false }}', steps: [{wait: 3650d}]}}]}}\n",
        *map(_expression, _EXPRESSIONS),
        f"{_HEAD}steps:\n  - {{set: {{x: '{'{{ input.a }}' * 3_000}'}}}}\n",
        f"{_HEAD}steps:\n  - {{set: {{x: '{'{{' * 20_000}'}}}}\n",
        f"{_HEAD}steps:\n  - {{set: {{x: '{{{{ {' ' * 100_000} }}}}'}}}}\n",
        *map(_schema, _SCHEMAS),
        *(_reading(text) for text in (*_SCHEMAS, _TWICE)),
    )
)
