package io.heronshim.codec;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.gson.JsonObject;
import io.heronshim.Vectors;
import io.heronshim.stream.FrameHeader;
import io.heronshim.stream.Kind;
import io.heronshim.stream.RemoteProtocolError;
import io.heronshim.wire.v1.DataBatch;
import io.heronshim.wire.v1.ErrorCode;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class PayloadVectorsTest {
  static List<JsonObject> frames() {
    return Vectors.cases("frames", "frames");
  }

  static List<JsonObject> damaged() {
    return Vectors.cases("refusals", "payloads").stream()
        .filter(vector -> List.of(Kind.DATA, Kind.OUTCOMES).contains(vector.get("kind").getAsInt()))
        .toList();
  }

  @ParameterizedTest
  @MethodSource("frames")
  void headerIsReadAndWritten(JsonObject vector) {
    byte[] header = Vectors.hex(vector, "header");
    JsonObject decoded = vector.getAsJsonObject("decoded");
    FrameHeader read = FrameHeader.read(header);
    FrameHeader expected =
        new FrameHeader(
            decoded.get("version").getAsInt(),
            decoded.get("kind").getAsInt(),
            decoded.get("flags").getAsInt(),
            decoded.get("plan_epoch").getAsInt(),
            decoded.get("destination").getAsInt(),
            decoded.get("source").getAsInt(),
            decoded.get("sequence").getAsBigInteger().longValue());
    assertEquals(expected, read);
    assertArrayEquals(header, read.toBytes());
  }

  @ParameterizedTest
  @MethodSource("frames")
  void payloadIsReadAndWrittenAlike(JsonObject vector) throws Exception {
    byte[] payload = Vectors.hex(vector, "payload");
    Class<?> message = Class.forName("io.heronshim.wire.v1." + vector.get("message").getAsString());
    Object read = message.getMethod("parseFrom", byte[].class).invoke(null, payload);
    assertArrayEquals(payload, (byte[]) message.getMethod("toByteArray").invoke(read));
  }

  @ParameterizedTest
  @MethodSource("damaged")
  void damagedPayloadIsRefused(JsonObject vector) {
    byte[] payload = Vectors.hex(vector, "payload");
    RemoteProtocolError error =
        assertThrows(RemoteProtocolError.class, () -> read(vector.get("kind").getAsInt(), payload));
    assertEquals("ERROR_CODE_" + vector.get("code").getAsString(), error.code().name());
  }

  private static void read(int kind, byte[] payload) {
    if (kind == Kind.OUTCOMES) {
      DataBatches.outcomes(payload);
    } else {
      DataBatches.rows(DataBatches.parse(DataBatch.parser(), payload, "DataBatch"), null);
    }
  }

  @Test
  void errorsHaveTheNumbersOfTheTable() {
    for (JsonObject vector : Vectors.cases("errors", "codes")) {
      ErrorCode code = ErrorCode.forNumber(vector.get("code").getAsInt());
      assertEquals("ERROR_CODE_" + vector.get("name").getAsString(), code.name());
    }
  }
}
