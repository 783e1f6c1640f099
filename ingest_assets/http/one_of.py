"""Models that are imported when a source file first names them: kinds that are told apart by their `type`, and others.

A process reads one source file or a few, and pays for the kinds that they name. What a file may say, what is told of
mistakes in it, and the schema for editors are those of pydantic's own union of all kinds.
"""

from collections.abc import Mapping
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, SchemaValidator, core_schema


class OneOf:
    """Beside the base of some kinds in an annotation: what stands there is one of these, as its `type` says.

    Kinds are named by their module in the package and their class.

    >>> from ingest_assets.http.decoders.kind import DecoderModel
    >>> kinds = OneOf("ingest_assets.http.decoders", json="json_document.Json", xml="xml.Xml")
    >>> TypeAdapter(Annotated[DecoderModel, kinds]).validate_python({"type": "json"})
    Json(type='json')
    """

    def __init__(self, package: str, **kinds: str) -> None:
        self.package = package
        self.kinds = kinds

    def model(self, kind: str) -> type[BaseModel]:
        """The model of one kind."""
        module, _, name = self.kinds[kind].rpartition(".")
        found: type[BaseModel] = getattr(import_module(f"{self.package}.{module}"), name)
        return found

    @property
    def models(self) -> list[type[BaseModel]]:
        """All models, each once."""
        return list(dict.fromkeys(map(self.model, self.kinds)))

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(self._all.core_schema)

    def _validated(self, given: Any) -> Any:
        """The model of what is given. Of what names no kind, all of them say what is wrong."""
        kind = given.get("type") if isinstance(given, Mapping) else getattr(given, "type", None)
        known = isinstance(kind, str) and kind in self.kinds
        return (self._one(kind) if known else self._all.validator).validate_python(given)

    @cached_property
    def _all(self) -> TypeAdapter[Any]:
        union: Any = Union[tuple(self.models)]  # noqa: UP007 -- there is no other way to make one of a list
        return TypeAdapter(Annotated[union, Field(discriminator="type")])

    @lru_cache  # noqa: B019 -- there are a few of these in a process, for as long as it runs
    def _one(self, kind: str) -> SchemaValidator:
        """What tells of its kind's mistakes as the union of all does."""
        schema = _core_schema(self.model(kind))
        return SchemaValidator(core_schema.tagged_union_schema({kind: schema}, discriminator="type"))


class Later:
    """Beside a base in an annotation: what stands there is of this model, of that module."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    @cached_property
    def model(self) -> type[BaseModel]:
        """The model."""
        found: type[BaseModel] = getattr(import_module(self.module), self.name)
        return found

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validated)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_core_schema(self.model))

    def _validated(self, given: Any) -> BaseModel:
        return self.model.model_validate(given)


def _core_schema(model: type[BaseModel]) -> CoreSchema:
    """The schema of a model, which is not made before it is needed."""
    model.model_rebuild()
    return model.__pydantic_core_schema__
