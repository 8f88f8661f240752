"""What downstreams answer when they refuse, as their documentation, SDKs and users quote it."""

from dataclasses import dataclass, field
from typing import Any

OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "63",
    "x-ratelimit-reset-tokens": "59.874s",
}
GOOGLE = "type.googleapis.com/google.rpc."


@dataclass
class Case:
    """One answer, and what it means.

    Attributes:
        kind: As ``RateLimited`` has it; None if it is no limit.
        seconds: That it asks to wait; None if it does not say.
    """

    name: str
    status: int
    body: Any
    kind: str | None
    seconds: float | None = None
    headers: dict[str, str] = field(default_factory=dict)


def openai(message: str, type: str = "tokens", code: str = "rate_limit_exceeded") -> Any:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def anthropic(type: str, message: str, **more: Any) -> Any:
    return {"type": "error", "error": {"type": type, "message": message, **more}}


def gemini(quota_id: str, delay: str | None) -> Any:
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    violation = {"quotaMetric": metric, "quotaId": quota_id, "quotaValue": "15"}
    details = [{"@type": f"{GOOGLE}QuotaFailure", "violations": [violation]}]
    if delay:
        details.append({"@type": f"{GOOGLE}RetryInfo", "retryDelay": delay})
    message = "You exceeded your current quota, please check your plan and billing details."
    return {
        "error": {
            "code": 429,
            "message": message,
            "status": "RESOURCE_EXHAUSTED",
            "details": details,
        }
    }


TPM = "Rate limit reached for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, "
RPD = "Rate limit reached for gpt-4o in organization org-1 on requests per day (RPD): Limit 200, "
TOO_LARGE = "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): "
SPENT = "You exceeded your current quota, please check your plan and billing details."

CASES = [
    # OpenAI
    Case(
        "openai tokens",
        429,
        openai(f"{TPM}Used 29937, Requested 385. Please try again in 644ms."),
        "wait",
        0.644,
        OPENAI,
    ),
    Case(
        "openai requests",
        429,
        openai(
            "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3, Requested 1."
            " Please try again in 20s.",
            "requests",
        ),
        "wait",
        20,
    ),
    Case(
        "openai minutes and seconds",
        429,
        openai("Rate limit reached. Please try again in 6m0s."),
        "wait",
        360,
    ),
    Case(
        "openai too large",
        429,
        openai(f"{TOO_LARGE}Limit 30000, Requested 45123. The input must be reduced."),
        "too_large",
        headers=OPENAI,
    ),
    Case(
        "openai more requested than the limit",
        429,
        openai("Rate limit reached on tokens per min: Limit 30,000, Used 0, Requested 31,000."),
        "too_large",
    ),
    Case(
        "openai money",
        429,
        openai(SPENT, "insufficient_quota", "insufficient_quota"),
        "quota",
        headers=OPENAI,
    ),
    Case(
        "openai credit",
        429,
        openai("No credit.", "billing", "credit_balance_exhausted"),
        "quota",
    ),
    Case(
        "openai project",
        429,
        openai("Spend limit.", "x", "project_spend_limit_exceeded"),
        "quota",
    ),
    Case(
        "openai day",
        429,
        openai(f"{RPD}Used 200, Requested 1. Please try again in 7m12s.", "requests"),
        "quota",
        432,
    ),
    Case("openai slow down", 429, openai("Slow down.", "requests", "slow_down"), "wait"),
    Case(
        "openai overloaded",
        503,
        openai("The server is overloaded.", "server_error", "server_is_overloaded"),
        "wait",
    ),
    Case(
        "openai context is no limit",
        400,
        openai("maximum context length is 8192 tokens", "x", "context_length_exceeded"),
        None,
    ),
    # Azure
    Case(
        "azure milliseconds",
        429,
        openai("Requests have exceeded call rate limit. Please retry after 26 seconds.", "", "429"),
        "wait",
        25.5,
        {"retry-after-ms": "25500", "retry-after": "26"},
    ),
    Case(
        "azure message",
        429,
        {
            "error": {
                "code": "429",
                "message": "Requests to the Create operation have exceeded token rate limit of your"
                " current OpenAI S0 pricing tier. Please retry after 7 seconds. Please go here if"
                " you would like to further increase the default rate limit.",
            }
        },
        "wait",
        7,
    ),
    Case(
        "azure says nothing",
        429,
        openai("Too Many Requests", "too_many_requests", "too_many_requests"),
        "wait",
        headers={
            "x-ratelimit-limit-requests": "-1",
            "x-ratelimit-remaining-requests": "-1",
            "x-ratelimit-reset-requests": "0",
        },
    ),
    Case(
        "azure gateway",
        429,
        {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 51 seconds."},
        "wait",
        51,
    ),
    Case(
        "azure gateway quota",
        403,
        {
            "statusCode": 403,
            "message": "Out of call volume quota. Quota will be replenished in 1.10:12:31.",
        },
        "quota",
        123151,
    ),
    # Anthropic
    Case(
        "anthropic",
        429,
        anthropic(
            "rate_limit_error",
            "This request would exceed the rate limit for your organization of 40,000 input tokens"
            " per minute.",
        ),
        "wait",
        17,
        {"retry-after": "17", "anthropic-ratelimit-input-tokens-remaining": "0"},
    ),
    Case(
        "anthropic spend",
        429,
        anthropic(
            "rate_limit_error",
            "Spend limit.",
            details={"error_code": "enforced_spend_limit_reached"},
        ),
        "quota",
    ),
    Case("anthropic overloaded", 529, anthropic("overloaded_error", "Overloaded"), "wait"),
    Case(
        "anthropic too large",
        413,
        anthropic("request_too_large", "Request exceeds the maximum size"),
        "too_large",
    ),
    Case("anthropic bill", 402, anthropic("billing_error", "Pay first."), "quota"),
    Case("anthropic forbidden", 403, anthropic("permission_error", "Not allowed."), None),
    # Gemini and Google
    Case(
        "gemini minute",
        429,
        gemini("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "37s"),
        "wait",
        37,
    ),
    Case(
        "gemini fraction",
        429,
        gemini("GenerateRequestsPerMinutePerProjectPerModel", "37.480214812s"),
        "wait",
        37.480214812,
    ),
    Case(
        "gemini in a stream",
        429,
        [gemini("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "5s")],
        "wait",
        5,
    ),
    Case(
        "gemini day",
        429,
        gemini("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "1s"),
        "quota",
    ),
    Case(
        "gemini overloaded",
        503,
        {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}},
        "wait",
    ),
    Case(
        "google user rate",
        403,
        {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded"}]}},
        "wait",
    ),
    Case(
        "google day",
        403,
        {"error": {"code": 403, "errors": [{"reason": "dailyLimitExceeded"}]}},
        "quota",
    ),
    Case(
        "google forbidden",
        403,
        {"error": {"code": 403, "errors": [{"reason": "insufficientPermissions"}]}},
        None,
    ),
    # Groq, Amazon, GitHub and others
    Case(
        "groq too large",
        413,
        openai("Request too large for model on TPM: Limit 6000, Requested 6500."),
        "too_large",
    ),
    Case(
        "groq day",
        429,
        openai("on tokens per day (TPD): Limit 100000, Used 99000. Please try again in 14m24s."),
        "quota",
        864,
    ),
    Case("bedrock", 429, {"message": "Too many tokens, please wait", "__type": "x#A"}, "wait"),
    Case("amazon under 400", 400, {"__type": "com.amazon#ThrottlingException"}, "wait"),
    Case("amazon wrong", 400, {"__type": "com.amazon#ValidationException"}, None),
    Case(
        "github primary",
        403,
        {"message": "API rate limit exceeded for user ID 1."},
        "wait",
        61,
        {
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": "1800000061",
            "date": "Fri, 15 Jan 2027 08:00:00 GMT",
        },
    ),
    Case(
        "github secondary",
        403,
        {"message": "You have exceeded a secondary rate limit."},
        "wait",
        60,
        {"retry-after": "60", "x-ratelimit-remaining": "4000"},
    ),
    Case(
        "github forbidden",
        403,
        {"message": "Resource not accessible by integration"},
        None,
        headers={"x-ratelimit-remaining": "4000", "x-ratelimit-reset": "1800000061"},
    ),
    Case("deepseek bill", 402, {"error": {"message": "Insufficient Balance"}}, "quota"),
    Case("proxy", 503, None, "wait", 120, {"retry-after": "120"}),
]
