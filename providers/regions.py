"""The addresses of vendors that have one in each region, with what the region is called."""

# Regions and their addresses as OpenAI's data residency guide lists them.
OPENAI_REGIONS = (
    ("https://api.openai.com/v1", "Default"),
    ("https://us.api.openai.com/v1", "US"),
    ("https://eu.api.openai.com/v1", "Europe (EEA + Switzerland)"),
    ("https://au.api.openai.com/v1", "Australia"),
    ("https://ca.api.openai.com/v1", "Canada"),
    ("https://jp.api.openai.com/v1", "Japan"),
    ("https://in.api.openai.com/v1", "India"),
    ("https://sg.api.openai.com/v1", "Singapore"),
    ("https://kr.api.openai.com/v1", "South Korea"),
    ("https://gb.api.openai.com/v1", "United Kingdom"),
    ("https://ae.api.openai.com/v1", "United Arab Emirates"),
)

_AWS = ("us-east-1", "us-east-2", "us-west-2", "eu-central-1", "eu-west-1", "ap-northeast-1", "ap-southeast-2")
BEDROCK_REGIONS = tuple((f"https://bedrock-runtime.{region}.amazonaws.com/openai/v1", region) for region in _AWS)
# Claude's own API on both of Bedrock's endpoints.
BEDROCK_CLAUDE_REGIONS = tuple(
    (f"https://bedrock-runtime.{region}.amazonaws.com/anthropic/v1", region) for region in _AWS
) + tuple((f"https://bedrock-mantle.{region}.api.aws/anthropic/v1", f"{region}, mantle") for region in _AWS)
