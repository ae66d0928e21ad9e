package io.heronshim;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/** The files of tests/vectors, which all languages check themselves by. */
public final class Vectors {
  private Vectors() {}

  /** A whole file. */
  public static JsonObject file(String name) {
    Path path = Path.of(System.getProperty("vectors"), name + ".json");
    try {
      return JsonParser.parseString(Files.readString(path)).getAsJsonObject();
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  /** The entries of one part of a file, at least one. */
  public static List<JsonObject> cases(String name, String part) {
    List<JsonObject> cases = objects(file(name).getAsJsonArray(part));
    if (cases.isEmpty()) {
      throw new AssertionError(name + "." + part + " is empty");
    }
    return cases;
  }

  /** An array's entries. */
  public static List<JsonObject> objects(JsonArray array) {
    List<JsonObject> found = new ArrayList<>();
    for (JsonElement element : array) {
      found.add(element.getAsJsonObject());
    }
    return found;
  }

  /** The bytes of a hex field. */
  public static byte[] hex(JsonObject object, String name) {
    return HexFormat.of().parseHex(object.get(name).getAsString());
  }

  /** A number of 16 hex digits. */
  public static long number(JsonElement element) {
    return Long.parseUnsignedLong(element.getAsString(), 16);
  }

  /** The Java value of a tagged one. */
  public static Object value(JsonObject tagged) {
    JsonElement value = tagged.get("value");
    switch (tagged.get("class").getAsString()) {
      case "null":
        return null;
      case "Boolean":
        return value.getAsBoolean();
      case "Integer":
        return Integer.valueOf(value.getAsString());
      case "Long":
        return Long.valueOf(value.getAsString());
      case "BigInteger":
        return new BigInteger(value.getAsString());
      case "Float":
        return Float.intBitsToFloat(
            Integer.parseUnsignedInt(tagged.get("bits").getAsString(), 16));
      case "Double":
        return Double.longBitsToDouble(number(tagged.get("bits")));
      case "String":
        // By its units: a decoder would replace a lone surrogate.
        char[] units = new char[tagged.get("utf16").getAsString().length() / 4];
        ByteBuffer.wrap(hex(tagged, "utf16")).asCharBuffer().get(units);
        return new String(units);
      case "byte[]":
        return hex(tagged, "value");
      case "List":
        List<Object> list = new ArrayList<>();
        for (JsonObject item : objects(value.getAsJsonArray())) {
          list.add(value(item));
        }
        return list;
      case "Map":
        Map<Object, Object> map = new HashMap<>();
        for (JsonElement pair : value.getAsJsonArray()) {
          JsonArray both = pair.getAsJsonArray();
          map.put(
              value(both.get(0).getAsJsonObject()), value(both.get(1).getAsJsonObject()));
        }
        return map;
      default:
        throw new AssertionError(tagged);
    }
  }
}
