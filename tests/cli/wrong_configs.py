# SPDX-License-Identifier: MIT
"""Derives wrong configs from the schema: wrong_configs.py SCHEMA CONFIG...

For every key that the schema knows: a misspelling, values of wrong types, and values out of range.
Prints lines of three fields parted by tabs: a right config, the override that makes it wrong, and the
JSON Pointer that the message has to name. The schema speaks of several detectors; each one's keys are
tried on the first CONFIG that uses it.
"""
import json
import sys

TYPES = {"integer": 3, "number": 0.5, "string": "x", "boolean": True, "array": [], "object": {}}
NUMERIC = {"integer", "number"}


DEFINITIONS = {}


def resolved(schema):
    """What a reference refers to, beside its own keys."""
    if "$ref" not in schema:
        return schema
    definition = DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")]
    return {key: value for key, value in {**definition, **schema}.items() if key != "$ref"}


def alternatives(schema):
    schema = resolved(schema)
    return schema.get("oneOf") or schema.get("anyOf") or [schema]


def kinds(schema):
    found = set()
    for one in alternatives(schema):
        if "type" in one:
            found |= set(one["type"] if isinstance(one["type"], list) else [one["type"]])
        found |= {type_of(value) for value in one.get("enum", [])}
        if "const" in one:
            found.add(type_of(one["const"]))
    return found


def type_of(value):
    return {str: "string", int: "integer", float: "number", bool: "boolean"}[type(value)]


def wrong_types(schema):
    right = kinds(schema)
    if right & NUMERIC:
        right |= NUMERIC
    for kind, value in TYPES.items():
        if kind not in right:
            yield value
    yield None
    if kinds(schema) & NUMERIC == {"integer"}:
        yield 1.5


def out_of_range(schema):
    for one in alternatives(schema):
        if "minimum" in one:
            yield one["minimum"] - 1
        if "maximum" in one:
            yield one["maximum"] * 2 + 1
        if "exclusiveMinimum" in one:
            yield one["exclusiveMinimum"]
        if "enum" in one or "const" in one:
            yield "nonsense"
        if one.get("type") == "array" and "items" in one and "minItems" in one:
            right = right_value(one["items"])
            yield [right] * (one["minItems"] - 1)
            if "maxItems" in one:
                yield [right] * (one["maxItems"] + 1)
                for wrong in list(out_of_range(one["items"])) + list(wrong_types(one["items"])):
                    yield [wrong] + [right] * (one["maxItems"] - 1)


def right_value(schema):
    one = alternatives(schema)[0]
    for key in ("const", "default"):
        if key in one:
            return one[key]
    if "enum" in one:
        return one["enum"][0]
    if one.get("type") == "object":
        return right_object(one)
    if one.get("type") == "array":
        return [right_value(one["items"])] * one.get("minItems", 0)
    if "exclusiveMinimum" in one:
        return one.get("maximum", 1)
    return one.get("minimum", TYPES.get(one.get("type"), "x"))


def right_object(schema, without=()):
    return {name: right_value(schema["properties"][name])
            for name in schema.get("required", []) if name not in without}


def emit(config, pointer, value, at=None):
    text = "null" if value is None else json.dumps(value)
    print(config, f"{pointer}={text}", at or pointer, sep="\t")


def wrong_object(schema, pointer, config, whole=None):
    """Wrongs of every key. `whole`: the right object, where each wrong needs all of it (an element of
    a list); otherwise keys are overridden one by one."""

    def wrong(name, value):
        at = f"{pointer}/{name}"
        if at == "/detector/type" and not isinstance(value, str):
            emit(config, at, value, pointer)
        elif whole is None:
            emit(config, at, value)
        else:
            emit(config, pointer, {**whole, name: value}, at if name in schema["properties"] else pointer)

    for name, key in schema["properties"].items():
        if name.startswith("$"):
            continue
        right = right_value(key)
        wrong(name + name[-1], right)
        # A class may be a number, too, and a layer.
        number = (pointer, name) in (("/data", "normal"), ("/scoring/features", "layer"))
        for value in list(wrong_types(key)) + list(out_of_range(key)):
            if not (number and isinstance(value, (int, float))):
                wrong(name, value)
        if whole is None:
            descend(key, f"{pointer}/{name}", config)


def has(path, pointer):
    """Whether a config has a value there."""
    value = json.load(open(path))
    for name in pointer.split("/")[1:]:
        if name not in value:
            return False
        value = value[name]
    return True


def descend(schema, pointer, config):
    if schema.get("type") == "object" and schema.get("properties"):
        whole = None
        if schema.get("required") and not has(config, pointer):
            whole = right_object(schema)
        wrong_object(schema, pointer, config, whole)
    elif schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        wrong_object(schema["additionalProperties"], f"{pointer}/encoder", config)


def wrong_layers(layers, config, pointer):
    for layer in resolved(layers)["items"]["oneOf"]:
        whole = right_object(layer)
        wrong_object(layer, pointer, config, whole)
        for name in layer["required"]:
            emit(config, pointer, {key: whole[key] for key in whole if key != name})


def nested_layers(paths):
    """Configs with a layer in another one, and its JSON Pointer."""
    for path in paths:
        for index, layer in enumerate(json.load(open(path)).get("networks", {}).get("encoder", [])):
            if "layers" in layer:
                yield path, f"/networks/encoder/{index}/layers/0"
                break


def main():
    schema = json.load(open(sys.argv[1]))
    DEFINITIONS.update(schema["$defs"])
    properties = schema["properties"]
    configs = {}
    for path in sys.argv[2:]:
        config = json.load(open(path))
        if "detector" in config:
            configs.setdefault(config["detector"]["type"], path)
    first = sys.argv[2]
    networks, detector = properties["networks"], properties["detector"]
    plain = {name: key for name, key in properties.items() if name not in ("networks", "detector")}
    wrong_object({"properties": plain}, "", first)
    for wrong in (5, "x", None, []):
        emit(first, "/networks", wrong)
        emit(first, "/detector", wrong)
        emit(first, "/networks/encoder", wrong)
        emit(first, "/networks/encoder/0", wrong)
    emit(first, "/networks/encoderr", [], "/networks")
    for config, pointer in [(first, "/networks/encoder/0"), *nested_layers(sys.argv[2:])]:
        wrong_layers(networks["properties"]["encoder"], config, pointer)
    for one in detector["oneOf"]:
        kind = one["properties"]["type"]["const"]
        if kind in configs:
            wrong_object(one, "/detector", configs[kind], None)


main()
