"""The runtime of a python3.* function: it loads the handler, asks the Runtime
API for one invocation after the other, and answers each. All that it needs is
imported before the function's folder is on sys.path, since a file of the
function may be called like a module of the standard library.
"""

import http.client
import importlib
import json
import logging
import os
import re
import socket
import sys
import time
import traceback

API = "/2018-06-01/runtime"


class Fault(Exception):
    """A failure that Lambda names itself."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind = kind
        self.trace = list(trace)


class RuntimeAPI:
    """A client for the one server that this process ever works for."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        # Without a timeout, whatever the function's code makes the default.
        self.connection = http.client.HTTPConnection(host, int(port), timeout=None)
        self.connection.connect()
        self.connection.auto_open = 0

    def request(self, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self.connection.request(method, API + path, body, headers)
            response = self.connection.getresponse()
            return response, response.read()
        except (OSError, http.client.HTTPException):
            # Without its server this process has nobody to work for.
            os._exit(1)

    def next(self):
        response, body = self.request("GET", "/invocation/next")
        if response.status != 200:
            sys.stderr.write("tidegate: the Runtime API answered %d: %s\n" % (response.status, body.decode("utf-8", "replace")))
            sys.exit(1)
        return response, body

    def respond(self, request_id, body, kind):
        self.request("POST", "/invocation/%s/response" % request_id, body, Content_Type=kind)

    def fail(self, path, error):
        kind = re.sub(r"[^\x21-\x7e]", "_", error["errorType"])[:200]
        self.request("POST", path, json.dumps(error).encode("ascii"), Content_Type="application/vnd.aws.lambda.error.utf8",
                     Lambda_Runtime_Function_Error_Type=kind)


def describe(err, request_id=""):
    """The body that tells the caller of an error, in the shape of Lambda's."""
    if isinstance(err, Fault):
        return {"errorMessage": str(err), "errorType": err.kind, "requestId": request_id, "stackTrace": err.trace}
    try:
        message = str(err)
    except Exception as why:  # the error's own __str__ is the function's code
        message = "<the error has no text: %s>" % type(why).__name__
    frames = [(f.filename, f.lineno, f.name, f.line) for f in traceback.extract_tb(err.__traceback__) if f.filename != __file__]
    return {"errorMessage": message, "errorType": type(err).__name__, "requestId": request_id, "stackTrace": traceback.format_list(frames)}


class Encoder(json.JSONEncoder):
    """Lambda's encoding: JSON, with decimal.Decimal as a number, whatever its
    digits, and bytes as text. Since python3.12 characters stand for themselves.
    """

    def __init__(self):
        minor = re.match(r"AWS_Lambda_python3\.(\d+)", os.environ.get("AWS_EXECUTION_ENV", ""))
        super().__init__(ensure_ascii=not minor or int(minor.group(1)) < 12, allow_nan=False)
        # What no text of the function's holds by accident or by will.
        self.mark = "decimal:" + os.urandom(16).hex() + ":"
        self.marked = re.compile('"' + self.mark + '([^"]*)"')
        self.decimals = False

    def default(self, o):
        if isinstance(o, bytes):
            return o.decode("utf-8")
        decimal = sys.modules.get("decimal")
        if decimal and isinstance(o, decimal.Decimal):
            if not o.is_finite():
                return float(o)
            self.decimals = True
            return self.mark + str(o)
        return super().default(o)

    def answer(self, value):
        """Returns the body and its content type."""
        if isinstance(value, bytes):
            return value, "application/unknown"
        try:
            self.decimals = False
            text = self.encode(value)
            if self.decimals:
                text = self.marked.sub(r"\1", text)
            return text.encode("utf-8"), "application/json"
        except Exception as err:
            raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % err)


class Group:
    """The members of a JSON object that Lambda's context knows; None when absent."""

    def __init__(self, source, *names):
        for name in names:
            setattr(self, name, source.get(name))

    def __repr__(self):
        return "%s(%s)" % (type(self).__name__, ", ".join("%s=%r" % item for item in vars(self).items()))


class CognitoIdentity(Group):
    def __init__(self, source):
        super().__init__({}, "cognito_identity_id", "cognito_identity_pool_id")
        self.cognito_identity_id = source.get("cognitoIdentityId")
        self.cognito_identity_pool_id = source.get("cognitoIdentityPoolId")


class Client(Group):
    def __init__(self, source):
        super().__init__(source, "installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(Group):
    def __init__(self, source):
        super().__init__(source, "custom", "env")
        self.client = Client(source["client"]) if source.get("client") else None


class LambdaContext:
    """The handler's second argument."""

    def __init__(self, headers):
        def parsed(name):
            # Headers are read as latin-1, and hold UTF-8.
            text = headers.get(name)
            return json.loads(text.encode("latin-1").decode("utf-8")) if text else None

        env = os.environ
        client = parsed("Lambda-Runtime-Client-Context")
        self.aws_request_id = headers.get("Lambda-Runtime-Aws-Request-Id")
        self.log_group_name = env.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("Lambda-Runtime-Invoked-Function-Arn")
        self.tenant_id = headers.get("Lambda-Runtime-Aws-Tenant-Id")
        self.client_context = ClientContext(client) if isinstance(client, dict) else None
        self.identity = CognitoIdentity(parsed("Lambda-Runtime-Cognito-Identity") or {})
        self._deadline = int(headers.get("Lambda-Runtime-Deadline-Ms"))

    def get_remaining_time_in_millis(self):
        return max(self._deadline - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([%s])" % ",".join("%s=%s" % (k, v) for k, v in vars(self).items() if k[0] != "_")


class Log(logging.Handler):
    """The root logger's handler, as on Lambda."""

    request_id = ""

    def __init__(self):
        super().__init__()
        form = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n", "%Y-%m-%dT%H:%M:%S")
        form.converter = time.gmtime
        self.setFormatter(form)

    def emit(self, record):
        record.aws_request_id = Log.request_id
        try:
            # One entry is one line; the reader turns carriage returns back.
            sys.stdout.write(self.format(record).rstrip("\n").replace("\n", "\r") + "\n")
        except Exception:
            self.handleError(record)


class JSONFormatter(logging.Formatter):
    """A record as one JSON object, with what extra={...} adds."""

    own = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id"}

    def format(self, record):
        kind, err, trace = record.exc_info or (None, None, None)
        level = min(50, max(0, record.levelno)) // 10 * 10
        entry = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": logging.getLevelName(level),
            "message": record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(trace) if kind else None,
            "errorType": kind.__name__ if kind else None,
            "errorMessage": str(err) if kind else None,
            "requestId": record.aws_request_id,
            "location": "%s:%s:%d" % (record.pathname, record.funcName, record.lineno) if kind else None,
        }
        for name, value in vars(record).items():
            if name not in self.own:
                entry.setdefault(name, value)
        return json.dumps({k: v for k, v in entry.items() if v is not None}, ensure_ascii=False)


def set_up_logging(env):
    root, handler = logging.getLogger(), Log()
    root.addHandler(handler)
    if env.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON":
        handler.setFormatter(JSONFormatter())
    level = env.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    level = {"TRACE": "DEBUG"}.get(level, level)
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)


def redirect(target, domains=()):
    """Has connections to *.amazonaws.com go to Tidegate (host:port) instead, and
    those to custom domain names, on Tidegate's own port as well. The name stays the one that the client asked for, in the certificate that it
    checks and in its Host header; so does its signature.
    """
    host, _, port = target.rpartition(":")
    host, port = host.strip("[]"), int(port)
    ports = (443, 80, "443", "80", "https", "http", b"443", b"80")
    getaddrinfo, connect, connect_ex = socket.getaddrinfo, socket.socket.connect, socket.socket.connect_ex

    def ours(name, number):
        if isinstance(name, (bytes, bytearray)):
            name = name.decode("latin-1")
        if not isinstance(name, str):
            return False
        name = name.lower().rstrip(".")
        if name in domains or "*." + name.partition(".")[2] in domains:
            return number in ports or number in (port, str(port), str(port).encode())
        return number in ports and ("." + name).endswith(".amazonaws.com")

    def resolve(name, number, family=0, type=0, proto=0, flags=0):
        if ours(name, number):
            return getaddrinfo(host, port, 0, type, proto, flags)
        return getaddrinfo(name, number, family, type, proto, flags)

    def moved(address):
        if isinstance(address, tuple) and len(address) >= 2 and ours(address[0], address[1]):
            return (host, port) + address[2:]
        return address

    # Everything resolves by this name; a socket may also be given one itself.
    socket.getaddrinfo = resolve
    socket.socket.connect = lambda self, address: connect(self, moved(address))
    socket.socket.connect_ex = lambda self, address: connect_ex(self, moved(address))


def load(name):
    """Returns the handler that _HANDLER names, such as src/chat.send: the name
    send of the module src.chat.
    """
    module, dot, function = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': not enough values to unpack (expected 2, got 1)" % name)
    if module.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module)
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as err:
        raise Fault("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module, err))
    except SyntaxError as err:
        raise Fault("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module, err),
                    ['  File "%s" Line %s\n    %s' % (err.filename, err.lineno, err.text)])
    try:
        return getattr(loaded, function)
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function, module))


def flush():
    """Writes what the function's own streams hold back."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # closed, or none of ours
            pass


def invoke(api, handler, encoder, headers, body):
    request_id = headers.get("Lambda-Runtime-Aws-Request-Id")
    try:
        try:
            event = json.loads(body)
        except Exception as err:
            raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % err)
        result, kind = encoder.answer(handler(event, LambdaContext(headers)))
    except Exception as err:
        error = describe(err, request_id)
        flush()
        api.fail("/invocation/%s/error" % request_id, error)
        return
    flush()
    api.respond(request_id, result, kind)


def main():
    env = os.environ
    api = RuntimeAPI(env["AWS_LAMBDA_RUNTIME_API"])
    if env.get("TIDEGATE_REDIRECT"):
        redirect(env["TIDEGATE_REDIRECT"], frozenset(env.get("TIDEGATE_DOMAINS", "").split(",")) - {""})
    set_up_logging(env)
    sys.path[0] = env["LAMBDA_TASK_ROOT"]  # in place of this file's folder
    try:
        handler = load(env["_HANDLER"])
    except Exception as err:
        flush()
        api.fail("/init/error", describe(err))
        sys.exit(1)
    encoder = Encoder()
    while True:
        response, body = api.next()
        headers = response.headers
        Log.request_id = headers.get("Lambda-Runtime-Aws-Request-Id", "")
        trace = headers.get("Lambda-Runtime-Trace-Id")
        if trace:
            env["_X_AMZN_TRACE_ID"] = trace
        else:
            env.pop("_X_AMZN_TRACE_ID", None)
        invoke(api, handler, encoder, headers, body)


main()
