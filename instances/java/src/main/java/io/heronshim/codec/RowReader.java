package io.heronshim.codec;

import io.heronshim.stream.RemoteProtocolError;
import java.io.IOException;
import java.math.BigInteger;
import java.nio.charset.CodingErrorAction;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.msgpack.core.ExtensionTypeHeader;
import org.msgpack.core.MessageFormat;
import org.msgpack.core.MessagePack;
import org.msgpack.core.MessagePackException;
import org.msgpack.core.MessageUnpacker;

/**
 * Reads rows. Between Java tasks a number's form gives its class back; from other languages every
 * integer is a Long (a BigInteger above Long's range) and every float a Double.
 */
public final class RowReader {
  private static final MessagePack.UnpackerConfig CONFIG =
      new MessagePack.UnpackerConfig()
          .withActionOnMalformedString(CodingErrorAction.REPORT)
          .withActionOnUnmappableString(CodingErrorAction.REPORT);

  /** Room that is made for what is claimed only. */
  private static final int FIRST_ITEMS = 1024;

  private RowReader() {}

  /**
   * The rows of a batch.
   *
   * @param opaque for rows of a Java task; null for those of other languages
   * @throws RemoteProtocolError they are damaged
   */
  public static List<List<Object>> rows(byte[] blob, OpaqueValues opaque) {
    Reader reader = new Reader(blob, opaque);
    try {
      int count = reader.count(reader.unpacker.unpackArrayHeader());
      List<List<Object>> rows = new ArrayList<>(Math.min(count, FIRST_ITEMS));
      for (int index = 0; index < count; index++) {
        rows.add(reader.list(0));
      }
      if (reader.unpacker.hasNext()) {
        throw new RemoteProtocolError("rows are followed by other bytes");
      }
      return rows;
    } catch (RemoteProtocolError error) {
      throw error;
    } catch (IOException | MessagePackException error) {
      throw damaged(error);
    } catch (RuntimeException | LinkageError | StackOverflowError error) {
      // A map's keys may be of an author's class, whose hashCode may throw.
      throw new RemoteProtocolError("rows cannot be read: " + error.getClass().getName());
    }
  }

  /** A map with texts as keys (options, arguments, configuration); empty bytes are an empty one. */
  public static Map<String, Object> map(byte[] bytes) {
    if (bytes.length == 0) {
      return Map.of();
    }
    Reader reader = new Reader(bytes, null);
    try {
      Map<String, Object> map = new HashMap<>();
      for (Map.Entry<Object, Object> entry : reader.map(0).entrySet()) {
        map.put(String.valueOf(entry.getKey()), entry.getValue());
      }
      return map;
    } catch (IOException | MessagePackException | UnsupportedOperationException error) {
      throw damaged(error);
    }
  }

  private static RemoteProtocolError damaged(Exception error) {
    return new RemoteProtocolError("MessagePack cannot be read: " + error);
  }

  private static final class Reader {
    final MessageUnpacker unpacker;
    final long bytes;
    final OpaqueValues opaque;

    Reader(byte[] bytes, OpaqueValues opaque) {
      this.unpacker = CONFIG.newUnpacker(bytes);
      this.bytes = bytes.length;
      this.opaque = opaque;
    }

    /** A count of items that there may be bytes for. */
    int count(int claimed) {
      if (claimed > bytes - unpacker.getTotalReadBytes()) {
        throw new RemoteProtocolError(claimed + " items are claimed, and there are fewer bytes");
      }
      return claimed;
    }

    List<Object> list(int depth) throws IOException {
      int count = count(unpacker.unpackArrayHeader());
      List<Object> list = new ArrayList<>(Math.min(count, FIRST_ITEMS));
      for (int index = 0; index < count; index++) {
        list.add(value(depth + 1));
      }
      return list;
    }

    Map<Object, Object> map(int depth) throws IOException {
      int count = count(unpacker.unpackMapHeader());
      Map<Object, Object> map = new HashMap<>(Math.min(2 * count, FIRST_ITEMS));
      for (int index = 0; index < count; index++) {
        Object key = value(depth + 1);
        map.put(key, value(depth + 1));
      }
      return map;
    }

    Object value(int depth) throws IOException {
      if (depth > RowWriter.DEPTH_MAX + 1) {
        throw new RemoteProtocolError("a value is nested too deeply");
      }
      MessageFormat format = unpacker.getNextFormat();
      switch (format.getValueType()) {
        case NIL:
          unpacker.unpackNil();
          return null;
        case BOOLEAN:
          return unpacker.unpackBoolean();
        case INTEGER:
          return integer(format);
        case FLOAT:
          if (opaque != null && format == MessageFormat.FLOAT32) {
            return unpacker.unpackFloat();
          }
          return unpacker.unpackDouble();
        case STRING:
          return unpacker.unpackString();
        case BINARY:
          return unpacker.readPayload(length(unpacker.unpackBinaryHeader()));
        case ARRAY:
          return list(depth);
        case MAP:
          return map(depth);
        default:
          return extension();
      }
    }

    private Object integer(MessageFormat format) throws IOException {
      if (opaque != null && format == MessageFormat.INT32) {
        return unpacker.unpackInt();
      }
      if (format == MessageFormat.UINT64) {
        BigInteger number = unpacker.unpackBigInteger();
        if (number.bitLength() < 64) {
          return number.longValue();
        }
        return number;
      }
      return unpacker.unpackLong();
    }

    private int length(int claimed) {
      return count(claimed);
    }

    private Object extension() throws IOException {
      ExtensionTypeHeader header = unpacker.unpackExtensionTypeHeader();
      byte[] payload = unpacker.readPayload(length(header.getLength()));
      if (opaque == null || header.getType() != RowWriter.OPAQUE) {
        throw new RemoteProtocolError(
            "a value is a MessagePack extension of type " + header.getType() + ", of no meaning here");
      }
      return opaque.read(payload);
    }
  }
}
