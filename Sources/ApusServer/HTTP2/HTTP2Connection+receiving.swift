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
            let stream = streams[id]
            try machine.receivedReset(id, isAnswered: stream?.machine.isAnswered, now: now)
            if let stream { close(stream, wasAborted: true) }
        case .settings(let settings):
            try machine.receivedSettings(now: now)
            try apply(settings)
        case .settingsAcknowledged: machine.receivedSettingsAcknowledgement()
        case .ping(let data):
            try machine.receivedPing(now: now)
            output.write { writer, output in writer.ping(data, isAcknowledgement: true, to: &output) }
        case .pingAcknowledged(let data): perform(machine.receivedPingAcknowledgement(data))
        case .other: break
        }
    }

    private func receiveHeaders(_ id: UInt32, _ block: ByteBuffer, isEnd: Bool) throws(HTTP2Failure) {
        // Header blocks are decoded even if their request is refused: the dynamic tables of both sides must stay in
        // sync.
        let headers = try decode(block)
        let stream = streams[id]
        switch try machine.receivedHeaders(id, isEnd: isEnd, on: stream?.state, now: now) {
        case .open: try open(id, headers, isEnd: isEnd)
        case .refuse: output.write { writer, output in writer.reset(id, .refusedStream, to: &output) }
        case .trailers:
            guard let stream else { return }
            stream.receive(trailers: headers)
            try finishReceiving(on: stream)
        case .ignore: break
        case .reset(let code): if let stream { reset(stream, code) }
        }
    }

    private func open(_ id: UInt32, _ headers: HPACKHeaders, isEnd: Bool) throws(HTTP2Failure) {
        let stream = HTTP2Stream(id, isEnd: isEnd, connection: self, sendWindow: sendWindow.initial)
        streams.append(stream, id: id)
        stream.receive(headers)
        if stream.machine.isPending { pendingStreams.append(stream) }
        try finishReceiving(on: stream)
    }

    /// Completes the processing of a frame by its stream.
    private func finishReceiving(on stream: HTTP2Stream) throws(HTTP2Failure) {
        if stream.machine.isMalformed { try machine.recordViolation(now: now) }
        closeIfDone(stream)
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
        let stream = streams[id]
        let action = try machine.receivedData(
            id, length: length, isEmpty: bytes.readableBytes == 0 && !isEnd, on: stream?.state, now: now)
        switch action {
        case .deliver:
            guard let stream else { return }
            stream.receive(bytes, padding: padding, isEnd: isEnd)
            try finishReceiving(on: stream)
        case .discard: consumed(length)
        case .discardAndReset(let code):
            consumed(length)
            if let stream { reset(stream, code) }
        }
    }

    private func receiveWindowUpdate(_ id: UInt32, _ increment: Int) throws(HTTP2Failure) {
        if id == 0 {
            try sendWindow.grow(by: increment)
            machine.windowChanged(now: now)
        } else if let stream = streams[id] {
            stream.sending.window += increment
            guard stream.sending.window <= SendWindow.maximum else {
                try machine.recordViolation(now: now)
                return reset(stream, .flowControlError)
            }
            stream.machine.windowChanged(now: now)
            sendWindow.enqueue(stream)
        } else {
            try machine.receivedWindowUpdate(forClosed: id)
        }
        sendWaiting()
    }

    private func apply(_ settings: [FrameReader.Setting]) throws(HTTP2Failure) {
        for setting in settings {
            switch try HTTP2SettingChange(setting) {
            case .tableSize(let size): output.setHeaderTableSize(size)
            case .maximumFrameSize(let size): output.setMaximumFrameSize(size)
            case .initialWindow(let window): try applyInitialWindow(window)
            case nil: break
            }
        }
        output.write { writer, output in writer.settingsAcknowledgement(to: &output) }
        sendWaiting()
    }

    /// Applies the initial window to open streams as well (RFC 9113 §6.9.2).
    private func applyInitialWindow(_ value: Int) throws(HTTP2Failure) {
        let change = sendWindow.setInitial(value)
        guard change != 0 else { return }
        for stream in streams.streams {
            stream.sending.window += change
            guard stream.sending.window <= SendWindow.maximum else {
                throw HTTP2Failure(.flowControlError, "The flow-control window of stream \(stream.id) is too large.")
            }
            sendWindow.enqueue(stream)
        }
    }
}

extension HTTP2Stream {
    fileprivate var state: HTTP2ConnectionStateMachine.OpenStream {
        .init(isRemoteEnded: machine.isRemoteEnded, window: machine.window)
    }
}
