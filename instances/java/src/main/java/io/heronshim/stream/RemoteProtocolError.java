package io.heronshim.stream;

import io.heronshim.wire.v1.ErrorCode;

/** The peer broke the contract: what it sent is dropped, or its link ends. */
public final class RemoteProtocolError extends RuntimeException {
  private static final long serialVersionUID = 1L;
  private final ErrorCode code;

  /** A fault with code MALFORMED. */
  public RemoteProtocolError(String message) {
    this(message, ErrorCode.ERROR_CODE_MALFORMED);
  }

  /** A fault with a code of the error table. */
  public RemoteProtocolError(String message, ErrorCode code) {
    super(message);
    this.code = code;
  }

  /** Number shared by all languages. */
  public ErrorCode code() {
    return code;
  }
}
