package io.heronshim.zmtp;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ZmtpDecoderTest {
  private static final int PART_BYTES_MAX = 1 << 20;

  /** What a decoder told, as text. */
  private static final class Told implements ZmtpDecoder.Listener {
    final List<String> lines = new ArrayList<>();

    @Override
    public void greeted() {
      lines.add("greeted");
    }

    @Override
    public void command(String name, byte[] body) {
      lines.add("command " + name + " " + body.length);
    }

    @Override
    public void message(List<byte[]> parts) {
      StringBuilder sizes = new StringBuilder("message");
      parts.forEach(part -> sizes.append(' ').append(part.length));
      lines.add(sizes.toString());
    }
  }

  static byte[] greeting() {
    byte[] greeting = new byte[64];
    greeting[0] = (byte) 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[11] = 1;
    System.arraycopy("NULL".getBytes(StandardCharsets.US_ASCII), 0, greeting, 12, 4);
    return greeting;
  }

  static void frame(ByteArrayOutputStream out, int flags, byte[] body, boolean isLong) {
    out.write(isLong ? flags | 2 : flags);
    byte[] length = ByteBuffer.allocate(8).putLong(body.length).array();
    out.write(length, isLong ? 0 : 7, isLong ? 8 : 1);
    out.write(body, 0, body.length);
  }

  /** A greeting, READY, a PING and messages of many sizes. */
  static byte[] conversation() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(greeting());
    frame(out, 4, "\5READY".getBytes(StandardCharsets.US_ASCII), false);
    frame(out, 4, "\4PING\0\0x".getBytes(StandardCharsets.US_ASCII), true);
    for (int size : new int[] {0, 1, 255, 256, 70_000}) {
      frame(out, 1, new byte[24], false);
      frame(out, 0, new byte[size], size > 255);
    }
    return out.toByteArray();
  }

  private static List<String> told(byte[] bytes, Random cuts) throws ZmtpException {
    Told told = new Told();
    ZmtpDecoder decoder = new ZmtpDecoder(told, PART_BYTES_MAX);
    int at = 0;
    while (at < bytes.length) {
      int size = Math.min(bytes.length - at, 1 + cuts.nextInt(cuts.nextBoolean() ? 3 : 5000));
      decoder.feed(ByteBuffer.wrap(bytes, at, size));
      at += size;
    }
    return told.lines;
  }

  @Test
  void piecesOfAnySizeGiveTheSame() throws ZmtpException {
    List<String> expected =
        List.of(
            "greeted", "command READY 0", "command PING 3", "message 24 0", "message 24 1",
            "message 24 255", "message 24 256", "message 24 70000");
    for (int seed = 0; seed < 200; seed++) {
      assertEquals(expected, told(conversation(), new Random(seed)));
    }
  }

  @Test
  void mutatedBytesAreRefusedOrReadAndNothingElse() {
    int refused = 0;
    for (int seed = 0; seed < 3000; seed++) {
      Random random = new Random(seed);
      byte[] bytes = conversation();
      for (int count = 0; count <= random.nextInt(4); count++) {
        int at = random.nextInt(random.nextBoolean() ? 120 : bytes.length);
        bytes[at] = (byte) random.nextInt(256);
      }
      try {
        told(bytes, random);
      } catch (ZmtpException error) {
        refused++;
      }
    }
    assertEquals(true, refused > 500, "refused " + refused);
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 9, 10, 12})
  void otherProtocolsAndVersionsAreRefused(int at) {
    byte[] greeting = greeting();
    greeting[at] = at == 12 ? (byte) 'C' : (byte) 0;
    assertThrows(ZmtpException.class, () -> told(greeting, new Random(1)));
  }

  @Test
  void partOverTheLimitIsRefusedBeforeItComes() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(greeting());
    out.write(2);
    out.writeBytes(ByteBuffer.allocate(8).putLong(PART_BYTES_MAX + 1L).array());
    assertThrows(ZmtpException.class, () -> told(out.toByteArray(), new Random(1)));
    out.reset();
    out.writeBytes(greeting());
    out.write(2);
    out.writeBytes(ByteBuffer.allocate(8).putLong(-1L).array());
    assertThrows(ZmtpException.class, () -> told(out.toByteArray(), new Random(1)));
  }

  @Test
  void messageOfTooManyPartsIsRefused() {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(greeting());
    for (int part = 0; part < 9; part++) {
      frame(out, 1, new byte[1], false);
    }
    assertThrows(ZmtpException.class, () -> told(out.toByteArray(), new Random(1)));
  }

  @Test
  void bytesOfAMessageAreThoseSent() throws ZmtpException {
    byte[] payload = new byte[200_000];
    new Random(5).nextBytes(payload);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(greeting());
    frame(out, 0, payload, true);
    List<byte[]> got = new ArrayList<>();
    Told told =
        new Told();
    ZmtpDecoder decoder =
        new ZmtpDecoder(
            new ZmtpDecoder.Listener() {
              @Override
              public void greeted() {
                told.greeted();
              }

              @Override
              public void command(String name, byte[] body) {
                told.command(name, body);
              }

              @Override
              public void message(List<byte[]> parts) {
                got.addAll(parts);
              }
            },
            PART_BYTES_MAX);
    decoder.feed(ByteBuffer.wrap(out.toByteArray()));
    assertArrayEquals(payload, got.get(0));
  }
}
