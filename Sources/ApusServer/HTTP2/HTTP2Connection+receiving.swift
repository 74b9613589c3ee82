import NIOCore
import NIOHPACK

/// The processing of received frames.
extension HTTP2Connection {
    func receive(_ frame: FrameReader.Frame) throws(HTTP2Failure) {
        switch frame {
        case .headers(let id, let block, let isEnd): try receiveHeaders(id, block, isEnd: isEnd)
        case .data(let id, let bytes, let padding, let isEnd):
            try receiveData(id, bytes, padding: padding, isEnd: isEnd)
        case .windowUpdate(let id, let increment): try receiveWindowUpdate(id, increment)
        case .reset(let id, _):
            guard id <= lastStreamID, id % 2 == 1 else {
                throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
            }
            let stream = streams[id]
            // The reset of a stream that has been answered, at least in part, is not a sign of a flood.
            if stream?.wasAnswered != true { try floodGate.record(now: now) }
            if let stream { close(stream, wasAborted: true) }
        case .settings(let settings):
            try floodGate.record(now: now)
            try apply(settings)
        case .settingsAcknowledged: hasAcknowledgedSettings = true
        case .ping(let data):
            if lifetime.receivedPing(now: now) { throw HTTP2Failure(.enhanceYourCalm, "too_many_pings") }
            write { writer, output in writer.ping(data, isAcknowledgement: true, to: &output) }
        case .pingAcknowledged(let data): if data == Self.shutdownPing { finishDraining() }
        case .other: break
        }
    }

    private func receiveHeaders(_ id: UInt32, _ block: ByteBuffer, isEnd: Bool) throws(HTTP2Failure) {
        // Header blocks are decoded even if their request is refused: the dynamic tables of both sides must stay in
        // sync.
        let headers = try decode(block)
        if let stream = streams[id] {
            guard !stream.isRemoteEnded else { return try resetForViolation(stream, .streamClosed) }
            guard isEnd else { return try resetForViolation(stream, .protocolError) }
            stream.receive(trailers: headers)
            return try finishReceiving(on: stream)
        }
        guard id % 2 == 1 else {
            throw HTTP2Failure(.protocolError, "A client cannot open stream \(id), which has an even number.")
        }
        guard id > lastStreamID else {
            if recentlyReset.contains(id) { return }
            throw HTTP2Failure(.streamClosed, "Stream \(id) has ended or was skipped.")
        }
        lastStreamID = id
        guard streams.count < core.limits.concurrentStreams, drainSteps < 2 else {
            try floodGate.record(now: now)
            recordReset(of: id)
            return write { writer, output in writer.reset(id, .refusedStream, to: &output) }
        }
        let stream = HTTP2Stream(id, connection: self, sendWindow: sending.initialWindow)
        streams.append(stream, id: id)
        idleSince = nil
        if stream.start(headers, isEnd: isEnd) { pendingStreams.append(stream) }
        try finishReceiving(on: stream)
    }

    /// Completes the processing of a frame by its stream.
    private func finishReceiving(on stream: HTTP2Stream) throws(HTTP2Failure) {
        if stream.isMalformed { try floodGate.record(now: now) }
        closeIfDone(stream)
    }

    /// Resets a stream because the client violated the protocol. Each reset makes room for a request, while the work
    /// for the previous one may go on. Without a limit on resets, the limit on concurrent streams would have no effect
    /// (CVE-2025-8671).
    private func resetForViolation(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode) throws(HTTP2Failure) {
        try floodGate.record(now: now)
        reset(stream, code)
    }

    private func decode(_ block: ByteBuffer) throws(HTTP2Failure) -> HPACKHeaders {
        var block = block
        do {
            return try decoder.decodeHeaders(from: &block)
        } catch is NIOHPACKErrors.MaxHeaderListSizeViolation {
            // The rest of the block would have to be decoded as well, to keep the dynamic table in sync.
            throw HTTP2Failure(.enhanceYourCalm, "The header fields are larger than \(core.limits.headBytes) bytes.")
        } catch {
            throw HTTP2Failure(.compressionError, "A header block cannot be decompressed.")
        }
    }

    private func receiveData(
        _ id: UInt32, _ bytes: ByteBuffer, padding: Int, isEnd: Bool
    ) throws(HTTP2Failure) {
        let length = bytes.readableBytes + padding
        window -= length
        guard window >= 0 else {
            throw HTTP2Failure(.flowControlError, "The client has exceeded the flow-control window of the connection.")
        }
        if bytes.readableBytes == 0, !isEnd { try floodGate.record(now: now) }
        guard let stream = streams[id] else {
            guard recentlyReset.contains(id) else {
                throw HTTP2Failure(
                    id > lastStreamID ? .protocolError : .streamClosed,
                    "A DATA frame was received for stream \(id), which is not open."
                )
            }
            return consumed(length)
        }
        guard !stream.isRemoteEnded else {
            consumed(length)
            return try resetForViolation(stream, .streamClosed)
        }
        // A client that has not received the server's settings yet uses the default window.
        let grace = hasAcknowledgedSettings ? 0 : max(0, Self.initialWindow - core.limits.bufferedBytes)
        guard stream.window + grace >= length else {
            consumed(length)
            return try resetForViolation(stream, .flowControlError)
        }
        stream.receive(bytes, padding: padding, isEnd: isEnd)
        try finishReceiving(on: stream)
    }

    private func receiveWindowUpdate(_ id: UInt32, _ increment: Int) throws(HTTP2Failure) {
        if id == 0 {
            try sending.grow(by: increment)
            lastWindowChange = now
        } else if let stream = streams[id] {
            stream.sending.window += increment
            guard stream.sending.window <= SendState.maximumWindow else {
                return try resetForViolation(stream, .flowControlError)
            }
            stream.windowChanged()
            enqueue(stream)
        } else if id > lastStreamID || id % 2 == 0 {
            throw HTTP2Failure(.protocolError, "Stream \(id) does not exist.")
        }
        sendWaiting()
    }

    private func apply(_ settings: [FrameReader.Setting]) throws(HTTP2Failure) {
        for setting in settings {
            let value = Int(setting.value)
            switch Setting(rawValue: setting.identifier) {
            case .tableSize: sending.writer.setHeaderTableSize(value)
            case .push:
                guard value <= 1 else {
                    throw HTTP2Failure(.protocolError, "ENABLE_PUSH is \(value); it must be 0 or 1.")
                }
            case .initialWindow:
                guard value <= SendState.maximumWindow else {
                    throw HTTP2Failure(
                        .flowControlError, "INITIAL_WINDOW_SIZE is \(value), more than \(SendState.maximumWindow).")
                }
                try applyInitialWindow(value)
            case .maximumFrameSize:
                guard (16_384...16_777_215).contains(value) else {
                    throw HTTP2Failure(
                        .protocolError, "MAX_FRAME_SIZE is \(value); it must be between 16384 and 16777215.")
                }
                sending.writer.setMaximumFrameSize(value)
            case .concurrentStreams, .headerList, .connectProtocol, nil: break
            }
        }
        write { writer, output in writer.settingsAcknowledgement(to: &output) }
        sendWaiting()
    }

    /// Applies the initial window to open streams as well (RFC 9113 §6.9.2).
    private func applyInitialWindow(_ value: Int) throws(HTTP2Failure) {
        let change = value - sending.initialWindow
        guard change != 0 else { return }
        sending.initialWindow = value
        for stream in streams.streams {
            stream.sending.window += change
            guard stream.sending.window <= SendState.maximumWindow else {
                throw HTTP2Failure(.flowControlError, "The flow-control window of stream \(stream.id) is too large.")
            }
            enqueue(stream)
        }
    }
}
