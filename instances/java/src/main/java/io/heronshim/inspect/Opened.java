package io.heronshim.inspect;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.Callable;

/**
 * An object of the author's, or why there is none. Opening it runs code of the author's.
 *
 * @param object null when it could not be opened
 * @param problem empty when it could
 * @param classes of all objects in it; of lambda expressions, the generated names
 */
record Opened(Object object, String problem, Set<String> classes) {
  private static final int PROBLEM_CHARACTERS_MAX = 2000;

  /** From Java's object stream. */
  static Opened of(byte[] serialized) {
    try (Stream in = new Stream(serialized)) {
      Opened opened = of(in::readObject);
      return new Opened(opened.object, opened.problem, in.classes);
    } catch (IOException error) {
      return new Opened(null, text(error), Set.of());
    }
  }

  /** From whatever makes it. */
  static Opened of(Callable<Object> maker) {
    try {
      return new Opened(maker.call(), "", Set.of());
    } catch (Exception | LinkageError | StackOverflowError | OutOfMemoryError error) {
      return new Opened(null, text(error), Set.of());
    }
  }

  private static String text(Throwable error) {
    Throwable cause = error;
    while (cause.getCause() != null && cause.getCause() != cause) {
      cause = cause.getCause();
    }
    String text = cause.toString();
    return text.substring(0, Math.min(text.length(), PROBLEM_CHARACTERS_MAX));
  }

  private static final class Stream extends ObjectInputStream {
    private final Set<String> classes = new LinkedHashSet<>();

    Stream(byte[] bytes) throws IOException {
      super(new ByteArrayInputStream(bytes));
      enableResolveObject(true);
    }

    @Override
    protected Object resolveObject(Object object) {
      // Not at resolveClass: the stream of a lambda expression names the class around it, too.
      if (object != null) {
        classes.add(object.getClass().getName());
      }
      return object;
    }
  }
}
