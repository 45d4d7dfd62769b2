"""Who serves models, and how each is reached."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from wardian.errors import ConfigurationError
from wardian.models.chat import Endpoint
from wardian.models.keys import key_variable
from wardian.models.wire import Dialect

OPENAI_URL = "https://api.openai.com/v1"

LOCAL_SERVERS = {
    "ollama": (
        "http://127.0.0.1:11434/v1",
        "Start it with `ollama serve`, or set OLLAMA_HOST.",
        "Fetch it with `ollama pull {model}`.",
    ),
    "lmstudio": (
        "http://127.0.0.1:1234/v1",
        "Start its server with `lms server start`, or set LMSTUDIO_BASE_URL.",
        "Fetch it with `lms get {model}`.",
    ),
    "vllm": (
        "http://127.0.0.1:8000/v1",
        "Start it with `vllm serve MODEL`, or set VLLM_BASE_URL.",
        "",
    ),
    "llama-server": (
        "http://127.0.0.1:8080/v1",
        "Start it with `llama-server -m FILE --jinja`, or set LLAMA_SERVER_BASE_URL.",
        "",
    ),
}
"""Spelling → usual address, what to do when nobody answers, what to do when the model is missing"""

LITELLM_PROVIDERS = frozenset({
    "ai21", "anthropic", "anyscale", "azure", "azure_ai", "baseten", "bedrock", "cerebras",
    "clarifai", "cloudflare", "codestral", "cohere", "cohere_chat", "dashscope", "databricks",
    "deepinfra", "deepseek", "fireworks_ai", "friendliai", "gemini", "github", "groq",
    "huggingface", "hyperbolic", "lambda_ai", "litellm_proxy", "meta_llama", "mistral", "moonshot",
    "nebius", "novita", "nscale", "nvidia_nim", "openrouter", "perplexity", "predibase",
    "replicate", "sagemaker", "sambanova", "snowflake", "together_ai", "vercel_ai_gateway",
    "vertex_ai", "volcengine", "watsonx", "xai", "zai",
})  # fmt: skip
"""Source: https://docs.litellm.ai/docs/providers"""


def endpoint_of(provider: str, base_url: str | None, environ: Mapping[str, str]) -> Endpoint:
    """How to reach an OpenAI-compatible provider. Raises: ConfigurationError, for a bad URL."""
    variable = key_variable(provider)
    if provider == "openai":
        url = _as_base_url(base_url or environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        is_openai = urlsplit(url).hostname == "api.openai.com"
        return Endpoint(
            base_url=url,
            key_variable=variable,
            dialect=Dialect(
                max_tokens_name="max_completion_tokens" if is_openai else "max_tokens",
                schema_beside_tools=is_openai,
            ),
        )
    usual_url, start_hint, pull_hint = LOCAL_SERVERS[provider]
    if provider == "ollama" and not base_url:
        url = _ollama_url(environ.get("OLLAMA_HOST", ""))
    else:
        named = environ.get(provider.upper().replace("-", "_") + "_BASE_URL")
        url = _as_base_url(base_url or named or usual_url)
    return Endpoint(
        base_url=url,
        key_variable=variable,
        start_hint=start_hint,
        pull_hint=pull_hint,
        dialect=Dialect(record_tokens=provider == "vllm"),
    )


def _as_base_url(url: str) -> str:
    """The URL with a scheme and a path; a bare host is taken to serve at `/v1`."""
    url = url.strip()
    given = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(given)
        is_right = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        if not is_right or not url.isprintable() or " " in url:
            raise ValueError(url)
    except ValueError as e:
        raise ConfigurationError(
            f"{url!r} is not the base URL of a server.", "Write it like http://127.0.0.1:8080/v1."
        ) from e
    return given.rstrip("/") + ("/v1" if parts.path in ("", "/") else "")


def _ollama_url(host: str) -> str:
    """What OLLAMA_HOST says, which may lack scheme and port, or be what the *server* listens on.

    Source: https://github.com/ollama/ollama/blob/main/envconfig/config.go
    """
    host = host.strip().strip("\"'")
    if not host:
        return LOCAL_SERVERS["ollama"][0]
    url = _as_base_url(f"127.0.0.1{host}" if host.startswith(":") else host)
    parts = urlsplit(url)
    name = parts.hostname or ""
    port = parts.port or ({"http": 80, "https": 443}[parts.scheme] if "://" in host else 11434)
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - undone, not bound
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}:{port}{parts.path}"
