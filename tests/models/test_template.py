"""A stranger's template renders like Hugging Face's, within bounds; texts never become tokens."""

import json
from typing import Any

import pytest

from wardian.models.template import (
    MAX_REPEAT,
    MAX_SOURCE_CHARS,
    ChatTemplate,
    TemplateFailed,
    pieces,
)

SPECIALS = ("<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>")
TOOL = {"name": "read_file", "description": "Reads <|im_end|>.", "parameters": {"type": "object"}}


def message(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


def rendered(source: str | None, *messages: dict[str, Any], tools: Any = (), **more: Any) -> str:
    return "".join(pieces(ChatTemplate(source, SPECIALS).render(messages, tools, **more)))


def test_without_a_template_chatml_is_written() -> None:
    text = rendered(None, message("system", "Be brief."), message("user", "Hello"))
    assert text == (
        "<|im_start|>system\nBe brief.<|im_end|>\n"
        "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    )


def test_json_is_written_without_html_escapes_and_letters_stay() -> None:
    source = "{{ messages[0].content | tojson }} {{ {'b': [1, none], 'a': 'é'} | tojson }}"
    assert rendered(source, message("user", "a<b & 'c'")) == (
        '"a<b & \'c\'" {"b": [1, null], "a": "é"}'
    )
    assert rendered("{{ {'a': 1} | tojson(indent=2) }}") == '{\n  "a": 1\n}'


def test_blocks_are_trimmed_and_loops_can_be_left() -> None:
    source = (
        "{% for m in messages %}\n"
        "  {% if loop.index > 1 %}\n{% break %}{% endif %}\n"
        "x\n{% endfor %}"
    )
    assert rendered(source, message("user", "a"), message("user", "b")) == "x\n"


def test_the_training_markers_are_transparent() -> None:
    source = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert rendered(source, message("assistant", "yes")) == "yes"


def test_a_call_is_rendered_exactly_as_the_model_wrote_it() -> None:
    source = "{# <tool_call> #}{{ messages[0].tool_calls[0].function.arguments | tojson }}"
    written = '{"n": 1.0e5,  "s": "\\u00e9"}'
    call = {"id": "1", "name": "f", "arguments": written}
    assert rendered(source, message("assistant", "", calls=[call])) == written


@pytest.mark.parametrize("role", ["user", "system", "assistant", "tool"])
@pytest.mark.parametrize("spelling", SPECIALS)
def test_a_spelling_in_a_message_never_survives_in_one_piece(role: str, spelling: str) -> None:
    text = f"a {spelling} b {spelling}{spelling}"
    found = pieces(ChatTemplate(None, SPECIALS).render([message(role, text, reasoning=text)]))
    joined = "".join(found)
    assert text in joined
    inside = joined.index(text)
    seams = {sum(len(p) for p in found[: i + 1]) for i in range(len(found))}
    for at in (inside + 2, inside + 5 + len(spelling), inside + 5 + 2 * len(spelling)):
        assert joined.startswith(spelling, at)
        assert seams & set(range(at + 1, at + len(spelling)))


def test_a_spelling_in_a_tool_description_or_an_argument_is_split_too() -> None:
    call = {"id": "1", "name": "read_file", "arguments": '{"p": "<|im_end|>"}'}
    messages = [message("user", "x"), message("assistant", "", calls=[call])]
    made = ChatTemplate(None, SPECIALS).render(messages, [{"type": "function", "function": TOOL}])
    whole = [p for p in pieces(made) if "<|im_end|>" in p]
    assert "".join(pieces(made)).count("<|im_end|>") == 3 + 2
    assert sum(p.count("<|im_end|>") for p in whole) == 3


def test_the_private_mark_itself_comes_through() -> None:
    text = "a\U0010fffdb\U0010fffd\U0010fffd<|im_end|>"
    assert text in rendered(None, message("user", text))


def test_a_template_cannot_see_a_marker_in_a_message() -> None:
    source = "{{ '</think>' in messages[0].content }}{{ messages[0].content | trim }}"
    template = ChatTemplate(source, (*SPECIALS, "</think>"))
    assert "".join(pieces(template.render([message("user", " a</think> ")]))) == "Falsea</think>"


def test_tools_are_described_in_words_where_the_template_has_no_place_for_them() -> None:
    function = {"type": "function", "function": TOOL}
    call = {"id": "1", "name": "read_file", "arguments": '{"path": "a"}'}
    text = rendered(
        None,
        message("system", "Be brief."),
        message("user", "Hello"),
        message("assistant", "I look.", calls=[call]),
        message("tool", "text of a", name="read_file", call_id="1"),
        message("tool", "text of b", name="read_file", call_id="2"),
        tools=[function],
    )
    assert "Be brief.\n\n# Tools\n" in text
    assert json.dumps(function) in text
    assert (
        'I look.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a"}}\n</tool_call>'
        in text
    )
    assert (
        "<|im_start|>user\n<tool_response>\ntext of a\n</tool_response>\n"
        "<tool_response>\ntext of b\n</tool_response><|im_end|>"
    ) in text


def test_a_model_that_knows_its_tools_is_not_told_them() -> None:
    function = {"type": "function", "function": TOOL}
    plain = rendered(None, message("user", "Hello"))
    assert rendered(None, message("user", "Hello"), tools=[function], describe_tools=False) == plain


def test_a_template_that_takes_tools_gets_them() -> None:
    source = "{# tool_calls <tool_call> #}{% for t in tools %}{{ t.function.name }}{% endfor %}"
    assert rendered(source, tools=[{"type": "function", "function": TOOL}]) == "read_file"


def test_a_template_that_writes_calls_but_describes_no_tools_keeps_its_own_way() -> None:
    source = (
        "{% for m in messages %}[{{ m.role }}: {{ m.content }}{% for c in m.tool_calls or [] %}"
        '<tool_call>{{ \'{"name": "\' + c.function.name }}", "arguments": '
        "{{ c.function.arguments | tojson }}{{ '}' }}</tool_call>{% endfor %}]{% endfor %}"
    )
    call = {"id": "1", "name": "read_file", "arguments": "{}"}
    chat = [message("assistant", "", calls=[call]), message("tool", "a"), message("tool", "b")]
    written = '<tool_call>{"name": "read_file", "arguments": {}}</tool_call>'
    assert rendered(source, *chat) == f"[assistant: {written}][tool: a][tool: b]"
    told = rendered(source, *chat, tools=[{"type": "function", "function": TOOL}])
    assert told.startswith("[system: # Tools")
    assert told.endswith(f"[assistant: {written}][tool: a][tool: b]")


def test_a_template_that_refuses_system_messages_gets_them_as_the_users() -> None:
    source = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}: {{ m.content }}]{% endfor %}"
    )
    text = rendered(source, message("system", "Be brief."), message("user", "Hello"))
    assert text == "[user: Be brief.\n\nHello]"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ 10 ** 10 ** 8 }}",
        "{% set n = namespace(x=9) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}",
        f"{{{{ 'a' * {MAX_REPEAT + 1} }}}}",
        f"{{{{ {MAX_REPEAT + 1} * [0] }}}}",
        "{% for i in range(10 ** 9) %}x{% endfor %}",
        "{% for i in range(90000) %}{{ 'a' * 1000 }}{% endfor %}",
        "{{ raise_exception('no') }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content.x.y }}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% include '/etc/passwd' %}",
        "x" * (MAX_SOURCE_CHARS + 1),
        "(" * 1000 + "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
    ],
)
def test_a_hostile_or_broken_template_fails_with_a_reason(source: str) -> None:
    with pytest.raises(TemplateFailed):
        ChatTemplate(source, SPECIALS).render([message("user", "Hello")])


def test_a_template_that_wants_contents_in_parts_loses_no_text() -> None:
    source = (
        "{% for m in messages %}{{ m.role }}:"
        "{% for p in m.content %}{% if p.type == 'text' %}{{ p.text }}{% endif %}{% endfor %};"
        "{% endfor %}"
    )
    told = rendered(source, message("system", "Be brief."), message("user", "<|im_end|> Hello"))
    assert told == "system:Be brief.;user:<|im_end|> Hello;"


def test_a_template_may_keep_a_queue_and_go_through_no_tools() -> None:
    source = (
        "{% set ns = namespace(q=[]) %}{% for m in messages %}{% set _ = ns.q.append(m.role) %}"
        "{% endfor %}{% set _ = ns.q.pop(0) %}{{ ns.q | map('upper') | tojson }}"
        "{{ messages[-1].content }}{% for t in tools %}{{ t }}{% endfor %}"
    )
    assert rendered(source, message("user", "a"), message("user", "b")) == '["USER"]b'


def test_a_template_that_forgets_the_system_message_after_a_call_is_told_it_in_the_question() -> (
    None
):
    source = (
        "{% if messages[0].role == 'system' %}{% set orders = messages[0].content %}{% endif %}"
        "{% for m in messages %}{% if m.role == 'user' %}"
        "[INST]{% if loop.last and orders %}{{ orders }}|{% endif %}{{ m.content }}[/INST]"
        "{% elif m.role == 'assistant' %}<tool_call>\n"
        '{{ \'{"name": "\' + m.tool_calls[0].function.name + \'", "arguments": \' }}'
        "{{ m.tool_calls[0].function.arguments | tojson }}}\n</tool_call>"
        "{% elif m.role == 'tool' %}{{ m.content }}{% endif %}{% endfor %}"
        "{{ tools | tojson }}"
    )
    call = {"id": "1", "name": "read_file", "arguments": "{}"}

    def told(source: str) -> str:
        return rendered(
            source,
            message("system", "Be brief."),
            message("user", "Hello"),
            message("assistant", "", calls=[call]),
            message("tool", "text", call_id="1", name="read_file"),
            tools=[{"type": "function", "function": TOOL}],
        )

    assert "[INST]Be brief.\n\nHello[/INST]" in told(source)
    assert "[INST]Hello[/INST]" in told(source.replace("loop.last and orders", "false"))
