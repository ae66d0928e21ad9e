package io.heronshim.instance;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Locale;

/** One-line event logs on standard error: `time level event=... key=value ...`. */
public final class Log {
  private static final int VALUE_CHARACTERS_MAX = 4000;

  private Log() {}

  /** Writes a line of level WARNING; `fields` are names and values in turn. */
  public static void warning(String event, Object... fields) {
    write("WARNING", event, fields);
  }

  /** Writes a line of level ERROR. */
  public static void error(String event, Object... fields) {
    write("ERROR", event, fields);
  }

  /** Writes a line of level INFO. */
  public static void info(String event, Object... fields) {
    write("INFO", event, fields);
  }

  private static void write(String level, String event, Object... fields) {
    Instant now = Instant.ofEpochMilli(System.currentTimeMillis()).truncatedTo(ChronoUnit.MILLIS);
    StringBuilder line = new StringBuilder(now.toString());
    line.append(' ').append(level).append(" event=").append(event);
    for (int index = 0; index + 1 < fields.length; index += 2) {
      line.append(' ').append(fields[index]).append('=').append(value(fields[index + 1]));
    }
    System.err.println(line);
  }

  /** The text of an author's object, whose toString may throw. */
  public static String text(Object value) {
    try {
      return String.valueOf(value);
    } catch (RuntimeException | LinkageError | StackOverflowError error) {
      return value.getClass().getName() + " (its text cannot be read)";
    }
  }

  /** The trace of an author's exception, which may not be able to say it. */
  static String trace(Throwable error) {
    StringWriter text = new StringWriter();
    try {
      error.printStackTrace(new PrintWriter(text));
    } catch (RuntimeException | LinkageError | StackOverflowError unreadable) {
      text.append(text(error));
    }
    return text.toString();
  }

  private static String value(Object value) {
    String text = text(value);
    if (text.length() > VALUE_CHARACTERS_MAX) {
      text = text.substring(0, VALUE_CHARACTERS_MAX) + "...(" + text.length() + " characters)";
    }
    if (!text.isEmpty() && text.chars().allMatch(Log::isPlain)) {
      return text;
    }
    StringBuilder quoted = new StringBuilder("\"");
    text.chars()
        .forEach(
            unit -> {
              if (unit == '"' || unit == '\\') {
                quoted.append('\\').append((char) unit);
              } else if (unit == ' ' || isPlain(unit)) {
                quoted.append((char) unit);
              } else {
                quoted.append(String.format(Locale.ROOT, "\\u%04x", unit));
              }
            });
    return quoted.append('"').toString();
  }

  private static boolean isPlain(int unit) {
    return unit > ' ' && unit < 0x7f && unit != '"' && unit != '\\' && unit != '='
        || unit >= 0xa1 && Character.isLetterOrDigit(unit);
  }
}
