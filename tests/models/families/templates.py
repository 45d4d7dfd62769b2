# ruff: noqa: RUF001  DeepSeek's markers are spelled with these letters
"""Chat templates in the manner of each family's, written for these tests.

The published ones belong to whoever published them and stay out of here; each of these writes
turns, calls, results and reasoning in the same notation, and nothing else.
"""


def _template(system: str, user: str, assistant: str, tool: str, prompt: str) -> str:
    return (
        "{%- for m in messages -%}"
        "{%- if m.role == 'system' -%}" + system + "{%- elif m.role == 'user' -%}" + user +
        "{%- elif m.role == 'assistant' -%}" + assistant +
        "{%- else -%}" + tool + "{%- endif -%}{%- endfor -%}"
        "{%- if add_generation_prompt -%}" + prompt + "{%- endif -%}"
    )  # fmt: skip


def _chatml(calls: str) -> str:
    """ChatML, tools in the system message, reasoning in `<think>`."""
    return _template(
        system="<|im_start|>system\n{{ m.content }}{% for t in tools or [] %}\n{{ t | tojson }}"
        "{% endfor %}<|im_end|>\n",
        user="<|im_start|>user\n{{ m.content }}<|im_end|>\n",
        assistant="<|im_start|>assistant\n"
        "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
        "{{ m.content }}{% for c in m.tool_calls or [] %}" + calls + "{% endfor %}<|im_end|>\n",
        tool="<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|im_end|>\n",
        prompt="<|im_start|>assistant\n",
    )


HERMES = _chatml(
    "\n<tool_call>\n"
    '{{ \'{"name": "\' + c.function.name + \'", "arguments": \' }}'
    "{{ c.function.arguments | tojson }}{{ '}' }}\n</tool_call>"
)
QWEN_CODER = _chatml(
    "\n<tool_call>\n<function={{ c.function.name }}>\n"
    "{% for k, v in c.function.arguments.items() %}<parameter={{ k }}>\n"
    "{{ v if v is string else (v | tojson if v is mapping or v is iterable else v) }}"
    "\n</parameter>\n{% endfor %}</function>\n</tool_call>"
)
_PAIR = "{{ v if v is string else v | tojson }}"
GLM = _chatml(
    "\n<tool_call>{{ c.function.name }}\n"
    "{% for k, v in c.function.arguments.items() %}<arg_key>{{ k }}</arg_key>\n<arg_value>"
    + _PAIR + "</arg_value>\n{% endfor %}</tool_call>"
)  # fmt: skip
GLM_COMPACT = _chatml(
    "<tool_call>{{ c.function.name }}{% for k, v in c.function.arguments.items() %}"
    "<arg_key>{{ k }}</arg_key><arg_value>" + _PAIR + "</arg_value>{% endfor %}</tool_call>"
)

_MISTRAL = {
    "system": "[SYSTEM_PROMPT]{{ m.content }}[/SYSTEM_PROMPT]"
    "{% if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}",
    "user": "[INST]{{ m.content }}[/INST]",
    "tool": "{% if m.tool_call_id | length != 9 %}{{ raise_exception('nine letters') }}{% endif %}"
    "[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]",
    "prompt": "",
}
_THINK = "{% if m.reasoning_content %}[THINK]{{ m.reasoning_content }}[/THINK]{% endif %}"
MISTRAL_LIST = _template(
    assistant=_THINK + "{{ m.content }}{% if m.tool_calls %}[TOOL_CALLS]["
    "{% for c in m.tool_calls %}{{ (c.function | tojson)[:-1] }}"
    '{{ \', "id": "\' + c.id + \'"}\' }}{{ ", " if not loop.last }}{% endfor %}]{% endif %}'
    "{{ eos_token }}",
    **_MISTRAL,
)
MISTRAL_NAMED = _template(
    assistant=_THINK + "{{ m.content }}{% for c in m.tool_calls or [] %}[TOOL_CALLS]"
    "{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}{{ eos_token }}",
    **_MISTRAL,
)
MISTRAL_NUMBERED = _template(
    assistant=_THINK + "{{ m.content }}{% for c in m.tool_calls or [] %}[TOOL_CALLS]"
    "{{ c.function.name }}[CALL_ID]{{ c.id }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}"
    "{{ eos_token }}",
    **_MISTRAL,
)


def _deepseek(section: str, thinking: str = "") -> str:
    return _template(
        system="{{ bos_token }}{{ m.content }}{% if tools %}{{ tools | tojson }}{% endif %}",
        user="<｜User｜>{{ m.content }}",
        assistant="<｜Assistant｜>{% if m.reasoning_content %}<think>{{ m.reasoning_content }}"
        "</think>{% endif %}{{ m.content }}{% if m.tool_calls %}" + section + "{% endif %}"
        "<｜end▁of▁sentence｜>",
        tool="<｜tool▁output▁begin｜>{{ m.content }}<｜tool▁output▁end｜>",
        prompt="<｜Assistant｜>" + thinking,
    )


DEEPSEEK = _deepseek(
    "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.function.name }}"
    "<｜tool▁sep｜>{{ '' + c.function.arguments }}<｜tool▁call▁end｜>{% endfor %}"
    "<｜tool▁calls▁end｜>"
)
"""Joins arguments to strings, so they must be text."""
DEEPSEEK_FENCED = _deepseek(
    "<｜tool▁calls▁begin｜>{% for c in m.tool_calls %}<｜tool▁call▁begin｜>{{ c.type }}"
    "<｜tool▁sep｜>{{ c.function.name }}\n```json\n{{ c.function.arguments | tojson }}\n```"
    "<｜tool▁call▁end｜>{{ '\n' if not loop.last }}{% endfor %}<｜tool▁calls▁end｜>"
)
DEEPSEEK_TAGGED = _deepseek(
    "\n\n<｜DSML｜function_calls>\n{% for c in m.tool_calls %}"
    '<｜DSML｜invoke name="{{ c.function.name }}">\n'
    "{% for k, v in c.function.arguments.items() %}<｜DSML｜parameter "
    "name=\"{{ k }}\" string=\"{{ 'true' if v is string else 'false' }}\">"
    + _PAIR + "</｜DSML｜parameter>\n{% endfor %}</｜DSML｜invoke>\n{% endfor %}"
    "</｜DSML｜function_calls>",
    thinking="<think>",
)  # fmt: skip

KIMI = _template(
    system="{% if tools %}<|im_system|>tool_declare<|im_middle|>{{ tools | tojson }}<|im_end|>"
    "{% endif %}<|im_system|>system<|im_middle|>{{ m.content }}<|im_end|>",
    user="<|im_user|>user<|im_middle|>{{ m.content }}<|im_end|>",
    assistant="<|im_assistant|>assistant<|im_middle|>{% if m.reasoning_content %}<think>"
    "{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}"
    "{% if m.tool_calls %}<|tool_calls_section_begin|>{% for c in m.tool_calls %}"
    "<|tool_call_begin|>{{ c.id }}<|tool_call_argument_begin|>{{ c.function.arguments | tojson }}"
    "<|tool_call_end|>{% endfor %}<|tool_calls_section_end|>{% endif %}<|im_end|>",
    tool="<|im_system|>tool<|im_middle|>## Return of {{ m.tool_call_id }}\n{{ m.content }}"
    "<|im_end|>",
    prompt="<|im_assistant|>assistant<|im_middle|>",
)

LLAMA3 = _template(
    system="<|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\n{{ m.content }}"
    "{% for t in tools or [] %}\n{{ t | tojson(indent=4) }}{% endfor %}<|eot_id|>",
    user="<|start_header_id|>user<|end_header_id|>\n\n{{ m.content }}<|eot_id|>",
    assistant="<|start_header_id|>assistant<|end_header_id|>\n\n{% if m.tool_calls %}"
    "{% if m.tool_calls | length != 1 %}{{ raise_exception('one at a time') }}{% endif %}"
    '{{ \'{"name": "\' + m.tool_calls[0].function.name + \'", "parameters": \' }}'
    "{{ m.tool_calls[0].function.arguments | tojson }}{{ '}' }}"
    "{% else %}{{ m.content }}{% endif %}<|eot_id|>",
    tool="<|start_header_id|>ipython<|end_header_id|>\n\n{{ m.content }}<|eot_id|>",
    prompt="<|start_header_id|>assistant<|end_header_id|>\n\n",
)

GRANITE = _template(
    system="<|start_of_role|>system<|end_of_role|>{{ m.content }}<|end_of_text|>\n{% if tools %}"
    "<|start_of_role|>available_tools<|end_of_role|>{{ tools | tojson }} Answer with <|tool_call|>"
    "<|end_of_text|>\n{% endif %}",
    user="<|start_of_role|>user<|end_of_role|>{{ m.content }}<|end_of_text|>\n",
    assistant="<|start_of_role|>assistant<|end_of_role|>{{ m.content }}<|end_of_text|>\n",
    tool="<|start_of_role|>tool<|end_of_role|>{{ m.content }}<|end_of_text|>\n",
    prompt="<|start_of_role|>assistant<|end_of_role|>",
)
"""Has no place for calls: they are written into the text."""

_GEMMA_VALUE = (
    "{%- macro value(v) -%}{%- if v is string -%}QUOTE{{ v }}QUOTE"
    "{%- elif v is boolean -%}{{ 'true' if v else 'false' }}"
    "{%- elif v is mapping -%}{{ '{' }}{% for k, w in v.items() %}{{ k }}:{{ value(w) }}"
    "{{ ',' if not loop.last }}{% endfor %}{{ '}' }}"
    "{%- elif v is none or v is number -%}{{ v }}"
    "{%- else -%}[{% for w in v %}{{ value(w) }}{{ ',' if not loop.last }}{% endfor %}]"
    "{%- endif -%}{%- endmacro -%}"
)


def _gemma(opens: str, closes: str, quote: str, begin: str, end: str, thought: str) -> str:
    turns = _template(
        system=begin + "system\n{{ m.content }}{% for t in tools or [] %}{{ t | tojson }}"
        "{% endfor %}" + end + "\n",
        user=begin + "user\n{{ m.content }}" + end + "\n",
        assistant=begin + "model\n" + thought + "{{ m.content }}{% for c in m.tool_calls or [] %}"
        + opens + "call:{{ c.function.name }}{{ value(c.function.arguments) }}" + closes
        + "{% endfor %}" + end + "\n",
        tool=begin + "tool\n{{ m.content }}" + end + "\n",
        prompt=begin + "model\n",
    )  # fmt: skip
    return _GEMMA_VALUE.replace("QUOTE", quote) + turns


GEMMA = _gemma(
    *("<|tool_call>", "<tool_call|>", '<|"|>', "<|turn>", "<turn|>"),
    "{% if m.reasoning_content %}<|channel>thought\n{{ m.reasoning_content }}\n<channel|>"
    "{% endif %}",
)
FUNCTION_GEMMA = _gemma(
    *("<start_function_call>", "<end_function_call>", "<escape>"),
    *("<start_of_turn>", "<end_of_turn>", ""),
)

HARMONY = _template(
    system="<|start|>developer<|message|>{{ m.content }}{% if tools %}\nnamespace functions."
    "{{ tools | tojson }}{% endif %}<|end|>",
    user="<|start|>user<|message|>{{ m.content }}<|end|>",
    assistant="{% if m.tool_calls %}{% set c = m.tool_calls[0] %}"
    "{% if m.content and m.thinking %}{{ raise_exception('one of both') }}{% endif %}"
    "{% if m.thinking %}<|start|>assistant<|channel|>analysis<|message|>{{ m.thinking }}<|end|>"
    "{% endif %}<|start|>assistant to=functions.{{ c.function.name }}<|channel|>commentary json"
    "<|message|>{{ c.function.arguments | tojson }}<|call|>"
    "{% else %}<|start|>assistant<|channel|>final<|message|>{{ m.content }}<|end|>{% endif %}",
    tool="<|start|>functions.{{ m.name }} to=assistant<|channel|>commentary<|message|>"
    "{{ m.content | tojson }}<|end|>",
    prompt="<|start|>assistant",
)

TEMPLATES = {
    "harmony": HARMONY,
    "deepseek-v3.2": DEEPSEEK_TAGGED,
    "deepseek-v3": DEEPSEEK_FENCED,
    "deepseek": DEEPSEEK,
    "kimi": KIMI,
    "mistral-v11": MISTRAL_NUMBERED,
    "mistral-v13": MISTRAL_NAMED,
    "mistral": MISTRAL_LIST,
    "gemma": GEMMA,
    "functiongemma": FUNCTION_GEMMA,
    "glm-4.7": GLM_COMPACT,
    "glm": GLM,
    "qwen-coder": QWEN_CODER,
    "hermes": HERMES,
    "granite": GRANITE,
    "llama3": LLAMA3,
}
"""By the family's name."""
