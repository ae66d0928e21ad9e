package io.heronshim.instance;

/** The author's code threw, it was reported, and the process ends (Storm's rule). */
final class UserCodeFailed extends RuntimeException {
  private static final long serialVersionUID = 1L;

  UserCodeFailed(Throwable cause) {
    super(Log.text(cause), cause);
  }
}
