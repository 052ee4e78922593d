"""One signed request to an S3 server, written apart from the client's own code so that tests can check one against the other."""
import datetime
import hashlib
import hmac
import http.client
import urllib.parse


def s3_request(endpoint, method, path, query="", key="TESTKEY", secret="TESTSECRET", region="us-east-1"):
    """`path` and `query` encoded, the query sorted. Answers (status, {field in lower case: value}, body)."""
    server = urllib.parse.urlsplit(endpoint)
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    fields = {"host": server.netloc, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-date": date}
    names = ";".join(sorted(fields))
    canonical = "\n".join([method, path, query, *(f"{n}:{fields[n]}" for n in sorted(fields)), "", names, "UNSIGNED-PAYLOAD"])
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signing = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    signature = hmac.new(signing, text.encode(), "sha256").hexdigest()
    fields["authorization"] = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    connection = http.client.HTTPConnection(server.netloc, timeout=30)
    connection.request(method, path + ("?" + query if query else ""), headers=fields)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def crc32c(data):
    """Castagnoli, a bit at a time: for small objects."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
