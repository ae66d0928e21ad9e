package io.heronshim.zmtp;

import java.io.IOException;

/** The peer does not speak ZMTP 3 as this client does: the connection is over. */
public final class ZmtpException extends IOException {
  private static final long serialVersionUID = 1L;

  /** What the peer did. */
  public ZmtpException(String message) {
    super(message);
  }
}
