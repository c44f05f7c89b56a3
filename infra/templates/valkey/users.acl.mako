user default reset on #${digest} ~* &* -@all +@connection +@read +@write +@pubsub +@scripting +@transaction -@dangerous -@blocking +time +info +dbsize
