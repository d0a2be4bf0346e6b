"""The OpenAI Python library against a lab, unchanged. By hand:

    python3 -m venv /tmp/openai-client && /tmp/openai-client/bin/pip install openai
    cargo run --release -- lab serve --port 30000 &
    /tmp/openai-client/bin/python tests/clients/openai_client.py http://127.0.0.1:30000
"""

import asyncio
import sys

import openai


def check(client: openai.OpenAI) -> None:
    models = [model.id for model in client.models.list()]
    print("models:", models)
    model = models[0]
    assert client.models.retrieve(model).id == model

    whole = client.completions.create(model=model, prompt="The lab", max_tokens=16, temperature=0, logprobs=2)
    assert whole.usage.completion_tokens == 16 and len(whole.choices[0].logprobs.tokens) == 16
    stream = client.completions.create(
        model=model, prompt="The lab", max_tokens=16, temperature=0, stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    for chunk in stream:
        usage = chunk.usage or usage
        text += chunk.choices[0].text if chunk.choices else ""
    assert text == whole.choices[0].text and usage == whole.usage
    print("completion:", repr(text), usage.total_tokens, "tokens")

    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}]
    chat = client.chat.completions.create(
        model=model, messages=messages, max_completion_tokens=12, temperature=0, logprobs=True, top_logprobs=2
    )
    assert chat.choices[0].finish_reason in ("stop", "length")
    stream = client.chat.completions.create(
        model=model, messages=messages, max_completion_tokens=12, temperature=0, stream=True
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == chat.choices[0].message.content
    print("chat:", repr(text), chat.choices[0].finish_reason)

    for error, call in [
        (openai.NotFoundError, lambda: client.completions.create(model="other", prompt="x")),
        (openai.BadRequestError, lambda: client.completions.create(model=model, prompt="x", n=2)),
        (openai.UnprocessableEntityError, lambda: client.completions.create(model=model, prompt={"a": 1})),
    ]:
        try:
            call()
        except error as caught:
            print(type(caught).__name__ + ":", caught.body["message"])
        else:
            raise AssertionError(f"no {error.__name__}")


async def check_many(url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
        async def one(n: int) -> int:
            stream = await client.chat.completions.create(
                model="lab-tiny", messages=[{"role": "user", "content": f"number {n}"}], max_tokens=32, stream=True,
                stream_options={"include_usage": True}, extra_body={"ignore_eos": True},
            )
            return [chunk.usage.completion_tokens async for chunk in stream if chunk.usage][-1]

        counts = await asyncio.gather(*(one(n) for n in range(32)))
        assert counts == [32] * 32
        print("32 streams at once: 32 tokens each")


def main() -> None:
    url = sys.argv[1].rstrip("/") + "/v1"
    print("openai", openai.__version__)
    check(openai.OpenAI(base_url=url, api_key="none"))
    asyncio.run(check_many(url))
    print("ok")


if __name__ == "__main__":
    main()
